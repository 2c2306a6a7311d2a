"""What will be trouble before long: locks that end, storage that fills, certificates that expire.

Each is one cause, told in time to act, and over when its reason is.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from cryptography import x509
from whenever import Instant

from strongroom.catalog.points import horizons as catalog
from strongroom.catalog.points import recovery_points
from strongroom.catalog.protection import fleet as fleet_rows
from strongroom.catalog.usage import usage
from strongroom.control.basis.control import Control
from strongroom.control.overview.fleet import Ship
from strongroom.model.errors import StoreUnavailable
from strongroom.model.oversight.alert import GRAVE, WARNING, Cause
from strongroom.model.oversight.outside import (
    CERTIFICATE_DAYS,
    CERTIFICATE_GRAVE_DAYS,
    FILLING_DAYS,
    FULL_SOON_DAYS,
    Certificate,
    Room,
    growth_of,
)
from strongroom.model.points import reapply
from strongroom.model.points.recovery_point import RecoveryPoint
from strongroom.model.protection.policy import parse_policy
from strongroom.model.sizes import told_size

LOCK_DAYS = 7
_MEASURED_DAYS = 60  # that growth is taken from
_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Sky:
    """What was asked outside, before any transaction: it may take its time."""

    room: Room | None
    away: str  # why storage could not be asked; empty where it could
    certificates: list[Certificate]


def look_outside(control: Control) -> Sky:
    """Room in storage, and the doors' certificates."""
    room, away = None, ""
    try:
        room = control.outside.room()
    except StoreUnavailable as error:
        away = error.message
    return Sky(room, away, control.outside.certificates())


def causes_ahead(
    connection: sa.Connection, sky: Sky, ships: Mapping[str, Ship], now: Instant
) -> Iterator[Cause]:
    """Of all of it."""
    yield from _of_locks(connection, ships, now)
    yield from _of_room(connection, sky, now)
    for each in (*sky.certificates, *principals_certificates(connection)):
        yield from _of_certificate(each, now)


def lock_horizons(connection: sa.Connection) -> dict[str, tuple[Instant, Instant]]:
    """Instance of an immutable vault -> (taken at, end) of its point whose lock ends last."""
    binding = catalog.immutable_instances(connection)
    return {of: told for of, told in catalog.last_locks(connection).items() if of in binding}


def _of_locks(
    connection: sa.Connection, ships: Mapping[str, Ship], now: Instant
) -> Iterator[Cause]:
    """One an instance: its last lock ends soon, or some end that the policy would have longer."""
    horizons = lock_horizons(connection)
    short = _shorter_than_wanted(connection, horizons.keys() & ships.keys(), now)
    for instance, (taken, ends) in horizons.items():
        ship = ships.get(instance)
        if ship is None:
            continue
        left, life = (ends - now).total("seconds"), (ends - taken).total("seconds")
        # A policy that keeps a week and backs up weekly has nothing to spare, and means it.
        spare = max(0.0, life - ship.promise_seconds)
        if left < min(LOCK_DAYS * _DAY, life / 2, spare):
            severity = GRAVE if left < 2 * _DAY else WARNING
            words = f"The last lock ends at {_at(ends)}; after that nothing of it is locked."
            hint = "See why no new points come: its page, and its newest backup job."
            yield _about(ship, severity, "soon has no locked point any more", (words, hint))
        elif count := short.get(instance):
            words = f"{count} points end within {LOCK_DAYS} days that its policy keeps longer now."
            hint = f"Extend them while they are there: strongroom policy apply {ship.policy}."
            yield _about(ship, WARNING, "has locks that end before its policy does", (words, hint))


def _shorter_than_wanted(
    connection: sa.Connection, instances: set[str], now: Instant
) -> dict[str, int]:
    """Instance -> how many of its points end soon, and would not by its policy as it is now."""
    ending: dict[str, list[RecoveryPoint]] = {}
    for point in recovery_points.list_ending(connection, now, now.add(hours=24 * LOCK_DAYS)):
        if point.instance_id in instances:
            ending.setdefault(point.instance_id, []).append(point)
    if not ending:
        return {}
    texts, of = fleet_rows.policies_in_use(connection), fleet_rows.policy_of_each(connection)
    found = {}
    for instance, points in ending.items():
        policy = parse_policy(texts[of[instance]])
        changes = reapply.plan(policy, points, immutable=True, stays={})
        found[instance] = sum(change.longer for change in changes)
    return found


def growth(connection: sa.Connection, now: Instant) -> float:
    """Bytes that all containers together have grown a day, of late; 0 while that is not known."""
    since = now.subtract(hours=24 * _MEASURED_DAYS).format_iso()[:10]
    days: dict[str, int] = {}
    for measured in usage.since(connection, since).values():
        for each in measured:
            days[each.day] = days.get(each.day, 0) + each.stored_bytes
    told = [
        ((Instant.parse_iso(f"{day}T00:00:00Z") - now).total("hours") / 24, size)
        for day, size in sorted(days.items())
    ]
    return growth_of(told)


def _of_room(connection: sa.Connection, sky: Sky, now: Instant) -> Iterator[Cause]:
    """Away, full, or full before long: one cause, the worst words."""
    if sky.away:
        yield _of_storage(
            GRAVE, "storage does not answer", sky.away, "strongroom status says more."
        )
        return
    room = sky.room
    if room is None:
        return
    hint = (
        "Free space there, or give it a larger disk; expiry and strongroom gc free what is over."
    )
    left = room.days_left(growth(connection, now)) if room.holds_blobs else float("inf")
    there = told_size(room.headroom)
    if room.headroom == 0:
        free = told_size(room.free_bytes)
        words = f"{free} are free, all of them its reserve: no backup gets in."
        yield _of_storage(GRAVE, "storage is full", words, hint)
    elif left < FILLING_DAYS:
        words = f"{there} are left: about {left:.0f} days at the growth of late."
        severity = GRAVE if left < FULL_SOON_DAYS else WARNING
        yield _of_storage(severity, "storage is filling", words, hint)
    elif room.holds_blobs and room.headroom < usage.largest_whole(connection):
        words = f"{there} are left, less than another full backup of the largest."
        yield _of_storage(WARNING, "storage is filling", words, hint)


def _of_storage(severity: str, title: str, words: str, hint: str) -> Cause:
    return Cause(key="storage", subject="", severity=severity, title=title, words=words, hint=hint)


def principals_certificates(connection: sa.Connection) -> list[Certificate]:
    """Those that service principals sign in with."""
    return [
        Certificate(
            f"principal:{principal}",
            f"what {name} signs in with",
            Instant(x509.load_pem_x509_certificate(pem.encode()).not_valid_after_utc),
            "Give it another: az ad app credential, or PUT of the principal with a certificate.",
        )
        for principal, name, pem in catalog.certificates(connection)
    ]


def _of_certificate(found: Certificate, now: Instant) -> Iterator[Cause]:
    days = (found.ends_at - now).total("hours") / 24
    if days >= CERTIFICATE_DAYS:
        return
    over = "has expired" if days <= 0 else "expires soon"
    yield Cause(
        key=f"certificate:{found.key}",
        subject="",
        severity=GRAVE if days < CERTIFICATE_GRAVE_DAYS else WARNING,
        title=f"the certificate of {found.name} {over}",
        words=f"It is good until {_at(found.ends_at)}.",
        hint=found.hint,
        path="/settings",
    )


def _about(ship: Ship, severity: str, title: str, told: tuple[str, str]) -> Cause:
    return Cause(
        key=f"locks:{ship.id}",
        subject=ship.id,
        severity=severity,
        title=f"{ship.name} {title}",
        words=told[0],
        hint=told[1],
        path=f"/instances/{ship.vault.resource_group}/{ship.vault.name}/{ship.name}",
    )


def _at(moment: Instant) -> str:
    return moment.round("minute").format_iso()
