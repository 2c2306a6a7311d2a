"""What a monitoring system asks: numbers about everything that the caller may see, as text.

Source: Prometheus, text exposition format 0.0.4. Ages are seconds, sizes bytes.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from strongroom.catalog import alerts as alert_rows
from strongroom.catalog import fleet as fleet_rows
from strongroom.catalog import metrics as catalog
from strongroom.control import fleet
from strongroom.control.access import require
from strongroom.control.control import Control
from strongroom.control.fleet import Ship
from strongroom.model import arm
from strongroom.model.access import Caller
from strongroom.model.errors import VaultError

ACTION = "Microsoft.DataProtection/backupVaults/read"
PROTECTIONS = ("ok", "late", "bad", "waiting", "paused")
_ESCAPED = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
Samples = Iterable[tuple[dict[str, str], float]]


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
        rest = list(_of_service(control, connection))
    ships = fleet.see_fleet(control, caller).ships
    gauges = [*_of_ships(control, ships), *rest, *_of_second(control)]
    return "\n".join(line for gauge in gauges for line in gauge.lines()) + "\n"


def _labels(ship: Ship) -> dict[str, str]:
    return {"instance": ship.name, "vault": ship.vault.name, "server": ship.server}


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


def _of_service(control: Control, connection: sa.Connection) -> Iterator[Gauge]:
    now = control.clock.now()
    names = {row["id"]: row["name"] for row in fleet_rows.names(connection)}
    newest = list(catalog.newest_points(connection))
    for name, words, column in (
        ("backup_read_bytes", "Of the newest point, before compression.", "raw_bytes"),
        ("backup_stored_bytes", "Stored anew for the newest point.", "stored_bytes"),
    ):
        samples = [
            ({"instance": names[row["instance_id"]]}, float(row[column]))
            for row in newest
            if row["instance_id"] in names
        ]
        yield Gauge(name, words, samples)
    yield Gauge(
        "backup_duration_seconds",
        "From the begin of the newest backup to its commit.",
        [
            (
                {"instance": names[row["instance_id"]]},
                (row["committed_at"] - row["taken_at"]).total("seconds"),
            )
            for row in newest
            if row["instance_id"] in names
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
            ({"agent": name}, max(0.0, (now - heard).total("seconds")))
            for _, name, heard in alert_rows.last_heard(connection)
        ],
    )
    severities = Counter(alert.severity for alert in alert_rows.open_ones(connection))
    yield Gauge(
        "alerts",
        "Alerts whose cause is there still.",
        [({"severity": each}, severities[each]) for each in ("grave", "warning", "notice")],
    )


def _of_second(control: Control) -> Iterator[Gauge]:
    if control.second is None:
        return
    try:
        told = control.second.told()
    except VaultError:
        told = {}  # a copy that cannot be asked has no number: rules see its absence
    lag = told.get("lagSeconds")
    samples: Samples = [] if lag is None else [({}, float(lag))]
    yield Gauge("second_copy_lag_seconds", "How far the second copy is behind.", samples)
