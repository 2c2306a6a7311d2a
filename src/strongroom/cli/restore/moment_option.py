"""--at and what goes with it: a moment in place of a recovery point."""

import re
from dataclasses import dataclass
from typing import Annotated, Any

from cyclopts import Parameter

from strongroom.model.errors import Invalid

_ZONE = re.compile(r"(Z|[+-]\d{2}(:?\d{2})?)$", re.IGNORECASE)
_SECONDS = re.compile(r"T\d{2}:\d{2}(?=Z|[+-]|$)")


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class MomentOptions:
    """Options of a restore to any moment that the log holds."""

    at: Annotated[
        str,
        Parameter(
            help="A time of the server's clock, 2026-11-26T21:04:05.5+01:00 or in UTC: what was "
            "committed by then is there, nothing later."
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
    """`2026-11-26 21:04` -> `2026-11-26T21:04:00Z`: without a zone it is UTC."""
    if not text:
        return ""
    found = text.strip().upper().replace(" ", "T", 1)
    found = found if _ZONE.search(found[10:]) else f"{found}Z"
    if _SECONDS.search(found):
        found = _SECONDS.sub(lambda match: f"{match[0]}:00", found)
    return re.sub(r"([+-]\d{2})$", r"\1:00", found) if "T" in found else found


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
