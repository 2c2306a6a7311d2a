"""One report of all that the caller may see: jobs, points by tag, proofs for an auditor."""

from dataclasses import dataclass
from typing import Any

from whenever import Instant

from strongroom.catalog.oversight import reports as catalog
from strongroom.catalog.protection import fleet as fleet_rows
from strongroom.catalog.resources import vaults
from strongroom.control.basis.control import Control
from strongroom.control.overview import fleet
from strongroom.control.overview.fleet import Ship
from strongroom.control.overview.horizons import lock_horizons
from strongroom.model.identities.access import Caller
from strongroom.model.protection.coverage import Covered, coverage, periods_of
from strongroom.model.protection.policy import parse_policy
from strongroom.model.resources.vault import immutability_of

DAYS = 30
_PROOF = (
    *("drillVerdict", "drillBeganAt", "drillEndedAt", "drilledPoint", "drilledPointTakenAt"),
    *("drilledDatabases", "drilledRows", "drilledRelations", "drilledIndexes"),
    *("evidence", "evidenceBlake3"),
)


@dataclass(frozen=True, slots=True)
class Line:
    """One instance. `jobs`: of the last `DAYS` days; `drill`: its newest, as `_PROOF` names it."""

    ship: Ship
    covered: list[Covered]
    jobs: dict[str, int]  # backups done, failed; restores and drills, and those that failed
    immutability: str
    locked_until: Instant | None  # the last lock of its points, where locks bind
    drill: dict[str, Any]

    @property
    def lacking(self) -> list[str]:
        """The tags whose point is not there."""
        return [each.tag for each in self.covered if each.state == "lacking"]

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it, and CSV after it."""
        ship = self.ship
        return {
            "instance": ship.name,
            "vault": ship.vault.name,
            "server": ship.server,
            "policy": ship.policy,
            "protection": ship.protection,
            "points": ship.points,
            "newestPoint": None if ship.newest_at is None else ship.newest_at.format_iso(),
            "lacking": self.lacking,
            "immutability": self.immutability,
            "lastLockEnds": None if self.locked_until is None else self.locked_until.format_iso(),
            "backupsDone": self.jobs["done"],
            "backupsFailed": self.jobs["failed"],
            "restores": self.jobs["restores"],
            "restoresFailed": self.jobs["restores_failed"],
            "drills": self.jobs["drills"],
            "drillsFailed": self.jobs["drills_failed"],
            "proof": ship.proof,
            "drilledAt": None if ship.drilled_at is None else ship.drilled_at.format_iso(),
            **self.drill,
        }


def make_report(control: Control, caller: Caller) -> list[Line]:
    """A line for each instance, by name."""
    seen = fleet.see_fleet(control, caller)
    since = seen.at.subtract(hours=24 * DAYS)
    with control.database.reading() as connection:
        newest = catalog.newest_by_tag(connection)
        jobs = catalog.count_jobs(connection, since)
        proofs, horizons = catalog.evidence(connection), lock_horizons(connection)
        texts = fleet_rows.policies_in_use(connection)
        born = {row["id"]: row for row in fleet_rows.list_all(connection)}
        locks = {
            (row["resource_group"], row["name"]): immutability_of(row["properties"])
            for row in vaults.list_of_group(connection, None)
        }
    periods = {policy: periods_of(parse_policy(text)) for policy, text in texts.items()}
    lines = []
    for ship in seen.ships:
        row = born[ship.id]
        covered = coverage(
            periods[row["policy_id"]], newest.get(ship.id, {}), row["created_at"], seen.at
        )
        lock = locks[(ship.vault.resource_group, ship.vault.name)]
        told = _counts(jobs.get(ship.id, {}))
        locked = horizons.get(ship.id, (None, None))[1]
        lines.append(Line(ship, covered, told, lock, locked, _proof(proofs.get(ship.id))))
    return lines


def _counts(found: dict[tuple[str, str], int]) -> dict[str, int]:
    def many(kind: str, *statuses: str) -> int:
        wanted = [key for key in found if key[0] == kind and (not statuses or key[1] in statuses)]
        return sum(found[key] for key in wanted)

    return {
        "done": many("Backup", "Completed", "CompletedWithWarnings"),
        "failed": many("Backup", "Failed"),
        "restores": many("Restore"),
        "restores_failed": many("Restore", "Failed"),
        "drills": many("Drill"),
        "drills_failed": many("Drill", "Failed"),
    }


def _proof(row: Any) -> dict[str, Any]:  # noqa: ANN401 - a row, or none
    if row is None:
        return dict.fromkeys(_PROOF, "")
    taken = row["taken_at"]
    told = (
        *(row["verdict"], row["began_at"].format_iso(), row["ended_at"].format_iso()),
        *(row["recovery_point_id"], "" if taken is None else taken.format_iso()),
        *(int(row[name] or 0) for name in catalog.COUNTED),
        *(row["evidence_name"], row["evidence_blake3"].hex()),
    )
    return dict(zip(_PROOF, told, strict=True))
