"""Watch for what needs somebody, and tell it outside (places.py); once a day, tell how all is.

Each alert is told when it begins and when it ends, to each place at least once: a place that was
away is told again, and the others are not. Of several processes over one catalogue one tells it.
Without a file of places the portal alone shows them.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import structlog
from whenever import Instant

from strongroom.control.basis.control import Control
from strongroom.control.overview import alerts, digests
from strongroom.model.errors import ControlUnavailable, Invalid, VaultError
from strongroom.model.oversight.alert import Alert
from strongroom.model.oversight.digest import Digest
from strongroom.workflows.basis.ticking import Ticking
from strongroom.workflows.care.places import FAILURES, Message, Place, places_of, read_places

FILE = "alerts.json"
EVERY_SECONDS = 30.0
_AT_ONCE = 50

log = structlog.get_logger()


class Alerting(Ticking):
    """A thread of its own: a mail server that does not answer holds up nothing else."""

    def __init__(self, control: Control, directory: Path) -> None:
        super().__init__("alerts", control.clock)
        teller = Teller(control, directory / FILE)
        self.add("alerts", EVERY_SECONDS, partial(_settle, control))
        self.add("telling", EVERY_SECONDS, teller.tell)
        self.add("digest", EVERY_SECONDS, teller.tell_digest)


def _settle(control: Control) -> None:
    begun, ended = alerts.settle_alerts(control)
    if begun or ended:
        log.info("alerts.settled", begun=begun, ended=ended)


class Teller:
    """Whom it has told what is in the catalogue, where other processes see it too."""

    def __init__(self, control: Control, file: Path) -> None:
        self._control = control
        self._file = file

    def tell(self) -> None:
        """What has not been told. Raises ControlUnavailable when a place is away: all is kept."""
        found = read_places(self._file)
        if found is None:
            return
        places, away = list(places_of(found)), dict[str, str]()
        for alert in alerts.untold(self._control, _AT_ONCE):
            message = message_of(alert, self._control.installation.portal_url)
            if self._tell_each(f"{alert.id} {message.told['state']}", message, places, away):
                alerts.note_told(self._control, alert)
        _complain(away, "an alert")

    def tell_digest(self) -> None:
        """Once a day, at the hour that was set. Raises ControlUnavailable when a place is away."""
        found = read_places(self._file)
        if found is None or found.digest is None:
            return
        try:
            day = found.digest.day(self._control.clock.now())
        except ValueError as error:
            raise Invalid(
                f"{self._file} names no time zone: {found.digest.zone[:60]}",
                hint="write one of IANA's, such as Europe/Berlin",
            ) from error
        before = digests.take_digest(self._control, day)
        if before is None:
            return
        away: dict[str, str] = {}
        message = digest_message(
            digests.make_digest(self._control), self._control.installation.portal_url
        )
        if not self._tell_each(f"digest {day}", message, list(places_of(found)), away):
            digests.give_digest_back(self._control, before)
        _complain(away, "the digest")

    def _tell_each(
        self, what: str, message: Message, places: list[Place], away: dict[str, str]
    ) -> bool:
        """Whether all have been told, by us or by another process of this catalogue.

        Who is `away` is not tried again now.
        """
        names = {name for name, _ in places}
        mine = alerts.claim_telling(self._control, what, sorted(names - away.keys()))
        told, failed = set[str](), set[str]()
        for name, send in places:
            if name not in mine:
                continue
            why = _failure(send, message)
            (failed if why else told).add(name)
            away |= {name: why} if why else {}
        return names <= alerts.settle_telling(self._control, what, told, failed)


def _failure(send: Callable[[Message], None], message: Message) -> str:
    """Why it could not be told; empty when it was."""
    try:
        send(message)
    except FAILURES as error:
        return type(error).__name__
    except VaultError as error:
        return error.message
    return ""


def _complain(away: dict[str, str], what: str) -> None:
    if away:
        told = ", ".join(f"{name} ({why})" for name, why in sorted(away.items()))
        raise ControlUnavailable(
            f"{what} could not be told: {told}",
            hint=f"see the places in {FILE}; it is tried again",
        )


def message_of(alert: Alert, portal: str) -> Message:
    """What is told of an alert."""
    is_over = alert.ended_at is not None
    told: dict[str, Any] = {
        "kind": "alert",
        "id": alert.id,
        "state": "ended" if is_over else "begun",
        "severity": alert.severity,
        "title": alert.title,
        "words": alert.words,
        "hint": alert.hint,
        "since": alert.since.format_iso(),
        "ended": None if alert.ended_at is None else alert.ended_at.format_iso(),
        "url": f"{portal}{alert.path}",
    }
    lines = [alert.words, alert.hint, "", f"Since {_to_the_minute(alert.since)}"]
    lines += [f"Over {_to_the_minute(alert.ended_at)}"] if alert.ended_at is not None else []
    lines.append(told["url"])
    return Message(
        title=f"{'over: ' if is_over else ''}{alert.title}",
        text="\n".join(lines),
        told=told,
        severity=alert.severity,
        is_over=is_over,
    )


def _to_the_minute(at: Instant) -> str:
    """2026-11-28 04:46 UTC: whoever reads a letter is in no zone that we know."""
    return f"{at.format_iso()[:16].replace('T', ' ')} UTC"


def digest_message(digest: Digest, portal: str) -> Message:
    """What is told of a day."""
    told = {"kind": "digest", "title": digest.title, **msgspec.structs.asdict(digest)}
    told |= {"at": digest.at.format_iso(), "url": portal}
    return Message(title=digest.title, text="\n".join([*digest.lines(), "", portal]), told=told)
