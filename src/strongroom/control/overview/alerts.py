"""Alerts: found in the catalogue, begun once, acknowledged by somebody, ended with their cause."""

from collections.abc import Collection, Iterator, Sequence

import sqlalchemy as sa
from whenever import Instant

from strongroom.catalog.oversight import alerts as catalog
from strongroom.catalog.oversight import audit, tellings
from strongroom.control.basis.control import Control
from strongroom.control.basis.rights import Rights
from strongroom.control.overview import fleet, horizons
from strongroom.control.overview.fleet import Fleet, Ship
from strongroom.control.overview.horizons import causes_ahead
from strongroom.control.overview.log_alerts import causes_of_log
from strongroom.control.resources import servers
from strongroom.control.restore.secondary import trouble_with_second
from strongroom.model import arm
from strongroom.model.errors import Forbidden, NotFound
from strongroom.model.identities.access import Caller
from strongroom.model.ids import uuid4
from strongroom.model.oversight.alert import (
    GRAVE,
    NOTICE,
    PURGE_HOURS,
    RESTORE_HOURS,
    WARNING,
    Alert,
    Cause,
)

READ = "Microsoft.AlertsManagement/alerts/read"
CHANGE = "Microsoft.AlertsManagement/alerts/changestate/action"
KEPT_DAYS = 90
TELLING_SECONDS = 300  # for one process to tell one thing to all places; then another may
_TOLD_BY_STATE = {"protection", "drill"}  # kinds that an instance's own state shows
_AGE = {"late": "is late", "bad": "is not protected"}


def settle_alerts(control: Control) -> tuple[int, int]:
    """Begin what has a cause now, end what has none any more. (begun, ended); safe twice."""
    whole, now = fleet.whole_fleet(control), control.clock.now()
    # What lies outside is asked first: it may take its time.
    behind, sky = trouble_with_second(control), horizons.look_outside(control)
    with control.database.writing() as connection:
        ships = {ship.id: ship for ship in whole.ships}
        found = (*_causes(connection, whole, now), *causes_ahead(connection, sky, ships, now))
        causes = {cause.key: cause for cause in found}
        causes |= {"second": _of_second(behind)} if behind else {}
        known = {alert.key: alert for alert in catalog.open_ones(connection)}
        begun = [causes[key] for key in sorted(causes.keys() - known.keys())]
        ended = [known[key] for key in sorted(known.keys() - causes.keys())]
        for cause in begun:
            catalog.begin(connection, str(uuid4(control.chance)), cause, now)
        for alert in ended:
            catalog.change(connection, alert.id, ended_at=now)
        for key in causes.keys() & known.keys():
            cause, alert = causes[key], known[key]
            told = {"severity": cause.severity, "words": cause.words, "title": cause.title}
            if any(getattr(alert, name) != value for name, value in told.items()):
                catalog.change(connection, alert.id, **told, hint=cause.hint)
        catalog.forget_ended(connection, now.subtract(hours=24 * KEPT_DAYS))
        tellings.forget(connection, now.subtract(hours=24 * KEPT_DAYS))
    return len(begun), len(ended)


def _causes(connection: sa.Connection, whole: Fleet, now: Instant) -> Iterator[Cause]:
    lost = set()
    for agent_id, name, called in catalog.last_heard(connection):
        if (now - called).total("seconds") > servers.LATELY_SECONDS:
            lost.add(agent_id)
            hit = sum(ship.agent_id == agent_id for ship in whole.ships)
            yield _lost_agent(agent_id, name, hit)
    for ship in whole.ships:
        if ship.agent_id not in lost:
            yield from _of_protection(ship)
        if ship.proof == "failed":
            yield _about(ship, "drill", WARNING, "failed its drill", "Look at what differed.")
    heard = {ship.id: ship for ship in whole.ships if ship.agent_id not in lost}
    yield from causes_of_log(connection, heard, now)
    names = {ship.id: ship for ship in whole.ships}
    yield from _of_storage(connection, names)
    yield from _of_jobs(connection, names, now)


def _of_storage(connection: sa.Connection, names: dict[str, Ship]) -> Iterator[Cause]:
    """What care has found there."""
    held, damaged = catalog.held_expiries(connection), catalog.damaged(connection)
    unlocked = catalog.unlocked(connection)
    for instance, ship in names.items():
        if instance in held:
            yield _about(ship, "held", WARNING, "lets no point expire", held[instance])
        if instance in damaged:
            words = f"{damaged[instance]} objects in storage are damaged or in quarantine."
            yield _about(ship, "damage", GRAVE, "has damaged objects", words)
        if instance in unlocked:
            words = f"{unlocked[instance]} objects had a lock that ended before their points."
            hint = "They are locked again. See who was at the storage host: strongroom doctor."
            yield _about(ship, "unlocked", GRAVE, "had locks taken off", words, hint)


def _of_jobs(connection: sa.Connection, names: dict[str, Ship], now: Instant) -> Iterator[Cause]:
    for row in catalog.failed_restores(connection, now.subtract(hours=RESTORE_HOURS)):
        if row["instance_id"] in names:
            why = str((row["error"] or {}).get("message", ""))
            ship = names[row["instance_id"]]
            yield _about(ship, f"restore:{row['id']}", GRAVE, "has a failed restore", why)
    for row in catalog.coming_purges(connection, now.add(hours=PURGE_HOURS)):
        yield Cause(
            key=f"purge:{row['id']}",
            subject=row["id"],
            severity=WARNING,
            title=f"{row['name']} goes for good soon",
            words=f"It was deleted, and is purged at {_at(row['purge_at'])}.",
            hint="Have it back before: its vault's page, or strongroom undelete.",
            path="/vaults",
        )


def _at(moment: Instant) -> str:
    return moment.round("minute").format_iso()


def _lost_agent(agent_id: str, name: str, hit: int) -> Cause:
    return Cause(
        key=f"agent:{agent_id}",
        subject=agent_id,
        severity=GRAVE if hit else NOTICE,
        title=f"agent {name} is lost",
        words="It has not called for five minutes; "
        + (f"{hit} instances depend on it." if hit != 1 else "one instance depends on it."),
        hint="See that it runs on its host: strongroom status.",
        path="/servers",
    )


def _of_second(trouble: str) -> Cause:
    return Cause(
        key="second",
        subject="",
        severity=WARNING,
        title="the second copy is not as it should be",
        words=f"Found: {trouble}.",
        hint="See that its store runs, and its log.",
    )


def _of_protection(ship: Ship) -> Iterator[Cause]:
    """Stale, or its last backup failed: one cause, the worse words."""
    words = hint = ""
    if ship.failed is not None and ship.failed["error"]:
        words = f"Its last backup failed: {ship.failed['error']['message']}."
        hint = str(ship.failed["error"]["hint"])
    if ship.protection in _AGE:
        severity = GRAVE if ship.protection == "bad" else WARNING
        title = _AGE[ship.protection]
    elif words:
        severity, title = WARNING, "failed its last backup"
    else:
        return
    yield _about(ship, "protection", severity, title, words or "No new point came in time.", hint)


def _about(ship: Ship, kind: str, severity: str, title: str, words: str, hint: str = "") -> Cause:
    path = f"/instances/{ship.vault.resource_group}/{ship.vault.name}/{ship.name}"
    return Cause(
        key=f"{kind}:{ship.id}",
        subject=ship.id,
        severity=severity,
        title=f"{ship.name} {title}",
        words=words,
        hint=hint or f"Look at it: strongroom points {ship.server}.",
        path=path,
    )


def list_alerts(control: Control, caller: Caller, ended: int = 50) -> list[Alert]:
    """What is there still, then what has ended; of instances that the caller may see, or all."""
    seen = {ship.id for ship in fleet.see_fleet(control, caller).ships}
    with control.database.reading() as connection:
        everything = Rights(connection, caller).may(READ, _scope(control))
        found = [*catalog.open_ones(connection), *catalog.ended_ones(connection, ended)]
    return [alert for alert in found if everything or alert.subject in seen]


def open_elsewhere(control: Control, caller: Caller, seen: Fleet) -> list[Alert]:
    """What nobody has acknowledged and no instance's state tells: agents, storage, locks, log.

    Of what the caller may see; `seen`: their instances.
    """
    ids = {ship.id for ship in seen.ships}
    with control.database.reading() as connection:
        everything = Rights(connection, caller).may(READ, _scope(control))
        found = catalog.open_ones(connection)
    return [
        alert
        for alert in found
        if alert.acknowledged_at is None
        and alert.key.partition(":")[0] not in _TOLD_BY_STATE
        and (everything or alert.subject in ids)
    ]


def acknowledge(control: Control, caller: Caller, alert_id: str) -> None:
    """Somebody has seen it and sees to it. Raises Forbidden, NotFound."""
    now = control.clock.now()
    with control.database.writing() as connection:
        if not Rights(connection, caller).may(CHANGE, _scope(control)):
            raise Forbidden(
                "you may look at alerts and not acknowledge them",
                hint="ask for the role Contributor or Owner",
            )
        found = [alert for alert in catalog.open_ones(connection) if alert.id == alert_id]
        if not found:
            raise NotFound("this alert is not there any more: its cause has gone")
        values = {"acknowledged_at": now, "acknowledged_by": caller.principal_id}
        catalog.change(connection, alert_id, **values)
        audit.append(connection, now, caller, ("alert/acknowledge", found[0].key))


def _scope(control: Control) -> str:
    return arm.subscription_id_of(control.installation.subscription_id)


def untold(control: Control, most: int) -> list[Alert]:
    """For the service: of whose begin, or end, nobody outside was told yet."""
    with control.database.reading() as connection:
        return catalog.untold(connection, most)


def note_told(control: Control, alert: Alert) -> None:
    """Everybody has been told of it as it is in `alert`."""
    now = control.clock.now()
    values = {"told_at": now} if alert.told_at is None else {}
    values |= {"end_told_at": now} if alert.ended_at is not None else {}
    with control.database.writing() as connection:
        catalog.change(connection, alert.id, **values)


def claim_telling(control: Control, what: str, places: Sequence[str]) -> list[str]:
    """Those of the places that this process is to tell now: each is told by one process.

    One that dies in between is followed by another after `TELLING_SECONDS`.
    """
    now = control.clock.now()
    until = now.add(seconds=TELLING_SECONDS)
    with control.database.writing() as connection:
        return tellings.claim(connection, what, places, now, until)


def settle_telling(
    control: Control, what: str, told: Collection[str], failed: Collection[str]
) -> set[str]:
    """Keep what became of what was claimed; every place that was told by now, by whomever."""
    with control.database.writing() as connection:
        return tellings.settle(connection, what, told, failed, control.clock.now())
