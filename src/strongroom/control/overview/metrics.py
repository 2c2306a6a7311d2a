"""What a monitoring system asks: numbers about everything that the caller may see, as text.

Source: Prometheus, text exposition format 0.0.4. Ages are seconds, sizes bytes.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from strongroom.catalog.oversight import alerts as alert_rows
from strongroom.catalog.oversight import metrics as catalog
from strongroom.catalog.usage import usage
from strongroom.control.basis.access import require
from strongroom.control.basis.control import Control
from strongroom.control.overview import fleet, horizons
from strongroom.control.overview.fleet import Ship
from strongroom.model import arm
from strongroom.model.errors import VaultError
from strongroom.model.identities.access import Caller

ACTION = "Microsoft.DataProtection/backupVaults/read"
PROTECTIONS = ("ok", "late", "bad", "waiting", "paused")
_ESCAPED = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
Samples = Iterable[tuple[dict[str, str], float]]
Named = dict[str, dict[str, str]]  # instance -> its labels


@dataclass(frozen=True, slots=True)
class Gauge:
    """One metric: a number that goes up and down, with its labels."""

    name: str
    words: str
    samples: Samples

    def lines(self) -> Iterator[str]:
        """In the text format."""
        yield f"# HELP strongroom_{self.name} {self.words}"
        yield f"# TYPE strongroom_{self.name} gauge"
        for labels, value in self.samples:
            told = ",".join(f'{key}="{text.translate(_ESCAPED)}"' for key, text in labels.items())
            yield (
                f"strongroom_{self.name}{{{told}}} {value!r}"
                if told
                else (f"strongroom_{self.name} {value!r}")
            )


def read_metrics(control: Control, caller: Caller) -> str:
    """All of them. Raises Forbidden, NotFound for whoever may not look at the subscription."""
    with control.database.reading() as connection:
        scope = arm.subscription_id_of(control.installation.subscription_id)
        require(control, connection, caller, ACTION, scope)
    ships = fleet.see_fleet(control, caller).ships
    with control.database.reading() as connection:
        rest = list(_of_service(control, connection, {ship.id: _labels(ship) for ship in ships}))
    outside = [*_of_second(control), *_of_outside(control)]
    gauges = [*_of_ships(control, ships), *rest, *outside]
    return "\n".join(line for gauge in gauges for line in gauge.lines()) + "\n"


def _labels(ship: Ship) -> dict[str, str]:
    """Together they name one instance alone: a name is good for one vault."""
    return {
        "instance": ship.name,
        "vault": ship.vault.name,
        "resource_group": ship.vault.resource_group,
        "server": ship.server,
    }


def _of_ships(control: Control, ships: list[Ship]) -> Iterator[Gauge]:
    now = control.clock.now()
    yield Gauge(
        "instance_newest_point_age_seconds",
        "Age of the newest whole recovery point.",
        [(_labels(s), (now - s.newest_at).total("seconds")) for s in ships if s.newest_at],
    )
    yield Gauge(
        "instance_promise_seconds",
        "How old the newest point may grow by its policy.",
        [(_labels(s), s.promise_seconds) for s in ships],
    )
    yield Gauge(
        "instance_points",
        "Recovery points that can be restored.",
        [(_labels(s), s.points) for s in ships],
    )
    yield Gauge(
        "instance_protection",
        "1 for the state that the instance is in.",
        [
            ({**_labels(s), "state": state}, float(s.protection == state))
            for s in ships
            for state in PROTECTIONS
        ],
    )
    yield Gauge(
        "instance_drill_age_seconds",
        "Since the newest drill.",
        [(_labels(s), (now - s.drilled_at).total("seconds")) for s in ships if s.drilled_at],
    )
    yield Gauge(
        "instance_drill_failed",
        "1 when the newest drill failed.",
        [(_labels(s), float(s.proof == "failed")) for s in ships],
    )
    yield Gauge(
        "instance_backup_failed",
        "1 when the newest backup job failed.",
        [(_labels(s), float(s.failed is not None)) for s in ships],
    )


def _of_service(control: Control, connection: sa.Connection, named: Named) -> Iterator[Gauge]:
    now = control.clock.now()
    newest = list(catalog.newest_points(connection))
    for name, words, column in (
        ("backup_read_bytes", "Of the newest point, before compression.", "raw_bytes"),
        ("backup_stored_bytes", "Stored anew for the newest point.", "stored_bytes"),
    ):
        samples = [
            (named[row["instance_id"]], float(row[column]))
            for row in newest
            if row["instance_id"] in named
        ]
        yield Gauge(name, words, samples)
    yield Gauge(
        "backup_duration_seconds",
        "From the begin of the newest backup to its commit.",
        [
            (
                named[row["instance_id"]],
                (row["committed_at"] - row["taken_at"]).total("seconds"),
            )
            for row in newest
            if row["instance_id"] in named
        ],
    )
    yield Gauge(
        "jobs",
        "Jobs in the catalogue.",
        [({"kind": k, "status": s}, n) for k, s, n in catalog.count_jobs(connection)],
    )
    yield Gauge("queue_depth", "Work that waits for agents.", [({}, catalog.waiting(connection))])
    yield Gauge(
        "agent_silent_seconds",
        "Since the agent called, or until when its work counted.",
        [
            ({"agent": name, "id": agent}, max(0.0, (now - heard).total("seconds")))
            for agent, name, heard in alert_rows.last_heard(connection)
        ],
    )
    horizons_of = horizons.lock_horizons(connection)
    yield Gauge(
        "instance_lock_horizon_seconds",
        "Until the last lock of the instance ends, in a vault that is immutable.",
        [
            (named[of], (ends - now).total("seconds"))
            for of, (_, ends) in sorted(horizons_of.items())
            if of in named
        ],
    )
    yield from _of_usage(connection, named)
    severities = Counter(alert.severity for alert in alert_rows.open_ones(connection))
    yield Gauge(
        "alerts",
        "Alerts whose cause is there still.",
        [({"severity": each}, severities[each]) for each in ("grave", "warning", "notice")],
    )


def _of_usage(connection: sa.Connection, named: Named) -> Iterator[Gauge]:
    """As it was counted last: once a day."""
    counted = usage.newest(connection)
    newest = [(labels, counted[of]) for of, labels in named.items() if of in counted]
    yield Gauge(
        "instance_stored_bytes",
        "In storage: what points need, the log, what waits to be collected, the rest.",
        [
            ({**labels, "part": part}, float(size))
            for labels, each in newest
            for part, size in (
                ("points", each.points_bytes),
                ("log", each.log_bytes),
                ("waiting", each.waiting_bytes),
                ("other", each.other_bytes),
            )
        ],
    )
    yield Gauge(
        "instance_full_copies_bytes",
        "What the points would take as full copies, compressed as they are.",
        [(labels, float(each.full_bytes)) for labels, each in newest],
    )


def _of_outside(control: Control) -> Iterator[Gauge]:
    """Numbers that cannot be asked for now are missing: rules see their absence."""
    sky, now = horizons.look_outside(control), control.clock.now()
    with control.database.reading() as connection:
        growth = horizons.growth(connection, now)
        certificates = [*sky.certificates, *horizons.principals_certificates(connection)]
    room = [] if sky.room is None else [sky.room]
    yield Gauge(
        "storage_headroom_bytes",
        "What uploads may take yet: free, without the reserve.",
        [({}, float(each.headroom)) for each in room],
    )
    yield Gauge(
        "storage_growth_bytes_per_day",
        "How fast all containers together have grown of late.",
        [({}, growth)],
    )
    yield Gauge(
        "certificate_expiry_seconds",
        "Until the certificate of a door, or of who signs in with one, ends.",
        [({"certificate": c.key}, (c.ends_at - now).total("seconds")) for c in certificates],
    )


def _of_second(control: Control) -> Iterator[Gauge]:
    copies = 0 if control.second is None else 1
    yield Gauge("second_copies", "How many second copies there should be.", [({}, copies)])
    if control.second is None:
        return
    try:
        told = control.second.told()
    except VaultError:
        told = {}  # a copy that cannot be asked has no number: rules see its absence
    lag = told.get("lagSeconds")
    samples: Samples = [] if lag is None else [({}, float(lag))]
    yield Gauge("second_copy_lag_seconds", "How far the second copy is behind.", samples)
