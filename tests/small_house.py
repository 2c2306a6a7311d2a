"""A micro world with a catalogue that tells the truth of it: what the oracle is tried on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from blake3 import blake3
from whenever import Instant

from oracle.book import open_book
from oracle.hosts import Host
from oracle.look import Watched
from strongroom.catalog.basis.database import Database
from strongroom.catalog.oversight import audit
from strongroom.catalog.tables import tables
from worlds import World, memory, micro_world, point_id, small_tree, watch

POINT, JOB = point_id(1), "00000000-0000-0000-0000-000000000001"
ACTOR, SCOPE = "somebody", "/subscriptions/s/resourceGroups/rg/providers/p/backupVaults/v"
POLICY = (
    '{"policyRules": [{"objectType": "AzureRetentionRule", "name": "Daily", "lifecycles": '
    '[{"deleteAfter": {"duration": "P31D"}}]}]}'
)
SECRET = b"correct-horse-battery"


@dataclass
class SmallHouse:
    """Storage in memory, a catalogue in a file, a log, and a directory that is the agent's."""

    world: World
    home: Path
    database: Database
    watched: Watched

    @property
    def objects(self) -> dict[str, bytes]:
        return memory(self.world)

    @property
    def log(self) -> Path:
        return self.home / "serve.log"

    def alter(self, name: str) -> None:
        """Turn one bit in the middle, openly: the oracle is told."""
        data = bytearray(self.objects[name])
        data[len(data) // 2] ^= 1
        self.objects[name] = bytes(data)
        self.watched.altered.add((self.world.instance_id, name))

    def pack(self) -> str:
        return next(name for name in self.objects if name.startswith("g/"))

    def change(self, table: sa.Table, **values: Any) -> None:
        """Every row of a table."""
        with self.database.writing() as connection:
            connection.execute(table.update().values(**values))

    def remove(self, table: sa.Table) -> None:
        with self.database.writing() as connection:
            connection.execute(table.delete())

    HOLD = "b" * 32

    def record(self, action: str, target: str, detail: dict[str, Any], days: int = 0) -> None:
        """In the audit, so many days after the beginning."""
        with self.database.writing() as connection:
            at = START.add(hours=24 * days)
            audit.append(connection, at, ACTOR, (action, target), detail)

    def remove_point(self) -> None:
        """Its receipt and its manifest; the row stays."""
        del self.objects[f"p/{POINT}.receipt"], self.objects[f"p/{POINT}.manifest"]
        self.change(tables.recovery_points, state="Deleted")

    def purge(self, *, days: int) -> None:
        """The point, so many days after it was deleted."""
        self.record("recoveryPoint/softDelete", POINT, {"softDelete": "On"})
        told = {"deleted": START.format_iso(), "by": ACTOR}
        self.record("recoveryPoint/purge", POINT, told, days)
        self.remove_point()

    def hold(self, names: list[str]) -> None:
        """In both books, and in the audit."""
        row = {"id": self.HOLD, "instance_id": self.world.instance_id, "name": "x"}
        row |= {"name_key": "x", "reason": "", "state": "held", "names": names}
        with self.database.writing() as connection:
            row |= {"set_by": ACTOR, "set_at": START, "point_id": POINT}
            connection.execute(tables.metadata.tables["holds"].insert().values(**row))
        self.world.holds |= {(name, self.HOLD) for name in names}
        home = f"{SCOPE}/backupInstances/i/legalHolds/x"
        self.record("hold/set", home, {"point": POINT, "reason": ""})

    def release(self) -> None:
        self.remove(tables.metadata.tables["holds"])
        self.world.holds.clear()
        told = {"hold": "x", "point": POINT}
        self.record("hold/released", self.world.instance_id, told)

    def add_job(self, **changed: Any) -> None:
        """One more, by itself in order, and recorded."""
        row = {**_job(self.world), "id": "00000000-0000-0000-0000-000000000002", **changed}
        with self.database.writing() as connection:
            connection.execute(tables.jobs.insert().values(**row))
            what = {"job": row["id"]}
            audit.append(connection, START, ACTOR, ("backup/trigger", "i"), what)
            if row["status"] == "Failed":
                audit.append(connection, START, "service", ("job/fail", row["id"]))


START = Instant.parse_iso("2026-01-01T00:00:00Z")


@contextmanager
def small_house(home: Path) -> Iterator[SmallHouse]:
    """All true, until a test changes it."""
    world = micro_world()
    database = Database(f"sqlite:///{home}/catalogue.sqlite")
    tables.metadata.create_all(database.engine)
    with database.writing() as connection:
        for table, row in _rows(world):
            connection.execute(table.insert().values(**row))
        for action, target, detail in _records():
            audit.append(connection, START, ACTOR, (action, target), detail)
    watched = watch(world, {POINT: small_tree()})
    watched.book = lambda: open_book(home / "catalogue.sqlite")
    (home / "agent").mkdir()
    (home / "serve.log").write_text("ready\n")
    watched.host = Host(
        processes=dict,
        logs=lambda: [home / "serve.log"],
        catalogue=home / "catalogue.sqlite",
        agent_home=home / "agent",
        secrets=lambda: {"the client's secret": SECRET},
    )
    try:
        yield SmallHouse(world, home, database, watched)
    finally:
        database.close()


def _records() -> list[tuple[str, str, dict[str, Any]]]:
    return [
        ("agent/enrol", "agent", {}),
        ("resourceGroup/create", SCOPE.partition("/providers")[0], {}),
        ("server/create", "/rg/providers/p/flexibleServers/micro", {}),
        ("vault/create", SCOPE, {}),
        ("policy/write", f"{SCOPE}/backupPolicies/pol", {}),
        ("instance/write", f"{SCOPE}/backupInstances/i", {}),
        ("backup/trigger", "i", {"job": JOB}),
        ("recoveryPoint/commit", POINT, {"job": JOB, "umlaut": "ü"}),
    ]


def _job(world: World) -> dict[str, Any]:
    return {
        "id": JOB,
        "vault_id": "v",
        "instance_id": world.instance_id,
        "kind": "Backup",
        "status": "Completed",
        "started_at": START,
        "ended_at": START,
        "rule_name": "r",
        "tag": "",
        "user_triggered": True,
        "requested_by": ACTOR,
        "order": {},
        "progress": {},
        "sub_tasks": [{"name": "Verify storage", "status": "Completed"}],
        "warnings": [],
        "recovery_point_id": POINT,
    }


def _point(world: World) -> dict[str, Any]:
    stored = memory(world)[f"p/{POINT}.manifest"]
    return {
        "id": POINT,
        "instance_id": world.instance_id,
        "job_id": JOB,
        "kind": "Full",
        "taken_at": START,
        "committed_at": START,
        "expires_at": Instant.parse_iso("2026-02-01T00:00:00Z"),
        "tag": "Daily",
        "policy_id": "p",
        "policy_version": 1,
        "generation": POINT,
        "manifest_size": len(stored),
        "manifest_blake3": blake3(stored).digest(),
        "raw_bytes": 1,
        "stored_bytes": 1,
        "facts": {},
        "state": "Completed",
    }


def _rows(world: World) -> list[tuple[sa.Table, dict[str, Any]]]:
    named: Callable[[str], dict[str, Any]] = lambda name: {"name": name, "name_key": name}  # noqa: E731
    made = {"created_at": START}
    placed = {**made, "resource_group_key": "rg", "location": "local", "tags": {}}
    agent = {"token_hash": "", "version": "", "enrolled_at": START, "seen_at": START}
    server = {"agent_id": "agent", "agent_server": "micro", "facts": {}}
    vault = {"principal_id": "who", "properties": {}, "state": "Succeeded", "version": 1}
    policy = {"id": "p", "vault_id": "v", "properties": POLICY, "version": 1}
    instance = {"server_id": "s", "policy_id": "p", "vault_id": "v", "properties": {}, "tags": {}}
    return [
        (tables.principals, {"id": "who", "kind": "vault", "display_name": "v", **made}),
        (tables.resource_groups, {**named("rg"), "location": "local", "tags": {}, **made}),
        (tables.agents, {"id": "agent", "name": "agent", **agent}),
        (tables.servers, {"id": "s", **named("micro"), **server, **placed}),
        (tables.vaults, {"id": "v", **named("v"), **vault, **placed}),
        (tables.policies, {**named("pol"), **policy, **made}),
        (
            tables.instances,
            {"id": world.instance_id, **named("i"), **instance, "state": "Protected", **made},
        ),
        (tables.jobs, _job(world)),
        (tables.recovery_points, _point(world)),
    ]
