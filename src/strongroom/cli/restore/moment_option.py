"""--at and what goes with it: a moment in place of a recovery point."""

import re
from dataclasses import dataclass
from typing import Annotated, Any

from cyclopts import Parameter
from whenever import PlainDateTime, RepeatedTime, SkippedTime, TimeZoneNotFoundError

from strongroom.model.errors import Invalid

_ZONE = re.compile(r"(Z|[+-]\d{2}(:?\d{2})?)$", re.IGNORECASE)
_ZONE_NAME = re.compile(r"\s*(\[[\w/+-]+\]|\b[A-Za-z]{2,}(?:[/_+-]\w+)*)$")  # ... Europe/Berlin
_BEGUN = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d", re.IGNORECASE)
_UTC = {"UTC", "GMT", "Z"}
_SECONDS = re.compile(r"T\d{2}:\d{2}(?=Z|[+-]|$)")


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class MomentOptions:
    """Options of a restore to any moment that the log holds."""

    at: Annotated[
        str,
        Parameter(
            help="A time of the server's clock, 2026-11-26 21:04:05.5+01:00, with Europe/Berlin "
            "behind it, or in UTC: what was committed by then is there, nothing later."
        ),
    ] = ""
    at_lsn: Annotated[str, Parameter(help="A position in the log, 16/B374D848.")] = ""
    at_xid: Annotated[str, Parameter(help="A transaction: restored once it has committed.")] = ""
    at_name: Annotated[
        str, Parameter(help="A restore point that pg_create_restore_point has named.")
    ] = ""
    before: Annotated[
        bool,
        Parameter(
            negative="",
            help="With --at, --at-lsn, --at-xid: what came just before it is there, it is not.",
        ),
    ] = False
    standby: Annotated[
        bool,
        Parameter(
            negative="",
            help="A server that goes on replaying what comes into the vault, until it is promoted "
            "or the job is cancelled. Needs --start.",
        ),
    ] = False
    timeline: Annotated[int, Parameter(help="On which the moment lies. Default: the newest.")] = 0

    @property
    def is_given(self) -> bool:
        """Whether there is one."""
        return any((self.at, self.at_lsn, self.at_xid, self.at_name, self.standby))

    def wish(self) -> dict[str, Any]:
        """As the API takes it. Raises Invalid for more than one."""
        given = {
            "time": iso_time(self.at),
            "lsn": self.at_lsn,
            "xid": self.at_xid,
            "name": self.at_name,
            "follow": "on" if self.standby else "",
        }
        found = {name: value for name, value in given.items() if value}
        if len(found) != 1:
            raise Invalid("one moment is restored", hint="Give one of --at, --at-lsn, --standby.")
        return {**found, "timeline": self.timeline, "before": self.before}


MOMENT = MomentOptions()


def iso_time(text: str) -> str:
    """`2026-11-26 21:04` -> `2026-11-26T21:04:00Z`: without a zone it is UTC.

    `2026-10-25 02:30 Europe/Berlin` is a clock there. Raises Invalid for a time that it showed
    twice, or never.
    """
    if not text:
        return ""
    plain, zone = text.strip(), ""
    found = _ZONE_NAME.search(plain)
    if found and found.start():
        plain, zone = plain[: found.start()], found[1].strip("[]")
    if not zone and not _BEGUN.match(plain):
        return plain  # no time: it is refused as it was written
    plain = plain.upper().replace(" ", "T", 1)
    if zone and zone.upper() not in _UTC:
        return _in_zone(_whole(plain), zone)
    return _whole(plain if zone == "" and _ZONE.search(plain[10:]) else f"{plain}Z")


def _whole(text: str) -> str:
    """With seconds, and minutes of the zone."""
    if _SECONDS.search(text):
        text = _SECONDS.sub(lambda match: f"{match[0]}:00", text)
    return re.sub(r"(T.*[+-]\d{2}):?(\d{2})?$", lambda m: f"{m[1]}:{m[2] or '00'}", text)


def _in_zone(text: str, zone: str) -> str:
    if _ZONE.search(text[10:]):  # 2026-10-25T02:30:00+02:00[Europe/Berlin]
        return text
    try:
        plain = PlainDateTime.parse_iso(text)
        return plain.assume_tz(zone, disambiguation="raise").to_instant().format_iso()
    except TimeZoneNotFoundError as error:
        hint = f"Write Europe/Berlin, UTC, or how far from it: {text}+01:00."
        raise Invalid(f"{zone} is no name of a time zone", hint=hint) from error
    except RepeatedTime as error:
        both = (plain.assume_tz(zone, disambiguation=each) for each in ("earlier", "later"))
        first, second = (each.to_fixed_offset().format_iso() for each in both)
        raise Invalid(
            f"{text} was twice in {zone}: clocks went back", hint=f"Write {first} or {second}."
        ) from error
    except SkippedTime as error:
        hint = "Name a time before or after, or give its distance from UTC."
        raise Invalid(f"{text} never was in {zone}: clocks went forward", hint=hint) from error
    except ValueError as error:
        raise Invalid(f"{text} is no time", hint="Write 2026-11-26 21:04:05.") from error


def with_moment(request: dict[str, Any], moment: MomentOptions) -> dict[str, Any]:
    """ARM's request of a moment in place of a point."""
    if not moment.is_given:
        return request
    target = request["restoreTargetInfo"]
    wish = {**target["strongroom"], "moment": moment.wish()}
    found = {**request, "restoreTargetInfo": {**target, "strongroom": wish}}
    found["objectType"] = "AzureBackupRecoveryTimeBasedRestoreRequest"
    del found["recoveryPointId"]
    return found
