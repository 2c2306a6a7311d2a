"""Drills of points that tests have made: the agent in earnest, beside a chain or dumps."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from increments import Chain, Client
from integration.servers import open_directory
from logical import Dumps
from seams import SystemChance, SystemClock
from strongroom.agent.held_lease import HeldLease
from strongroom.agent.own_settings import OwnSettingsFile
from strongroom.agent.proof.drill import DrillGround, drill
from strongroom.agent.restore.journal import RestoreJournal
from strongroom.datastore.maps.manifest import Manifest
from strongroom.model.work.drill import Assertion, DrillOrder, DrillResult
from strongroom.model.work.operation import Lease


@dataclass
class Drills:
    """A place on this host; `home` is the agent's, `scratch` where servers come and go."""

    home: Path
    scratch: Path = field(init=False)
    own: OwnSettingsFile = field(init=False)

    def __post_init__(self) -> None:
        self.scratch = self.home / "scratch"
        self.own = OwnSettingsFile(self.home / "settings.json")

    @property
    def ground(self) -> DrillGround:
        return DrillGround(self.scratch, RestoreJournal(self.home / "notes"), self.own)

    def hold(self, client: Any, manifest: Manifest, *asked: Assertion) -> HeldLease:
        point = manifest.facts.recovery_point_id
        order = DrillOrder(
            job_id="0d111111",
            recovery_point_id=point,
            instance_id=manifest.facts.instance_id,
            manifest_name=f"p/{point}.manifest",
            server="orders",
            assertions=list(asked),
        )
        lease = Lease(operation_id="a-drill", epoch=1, drill=order)
        return HeldLease(client, lease, SystemClock(), 5.0)

    def of_chain(self, chain: Chain, number: int, *asked: Assertion) -> DrillResult:
        manifest = chain.manifests[number]
        return self.run(self.hold(Client(chain, manifest), manifest, *asked), chain.blobs)

    def of_dump(self, dumped: Dumps, *asked: Assertion) -> DrillResult:
        """Of the newest."""
        return self.run(self.hold(dumped, dumped.manifests[-1], *asked), dumped.blobs)

    def run(self, held: HeldLease, blobs: Any) -> DrillResult:
        done = drill(held, self.ground, lambda *_: blobs, SystemClock(), SystemChance())
        assert done.drill is not None
        assert not list(self.scratch.iterdir()), "nothing is left of a drill"
        assert not list((self.home / "notes").glob("*.scratch"))
        return done.drill


@contextlib.contextmanager
def drills() -> Iterator[Drills]:
    with open_directory() as home:
        yield Drills(home)


def true(query: str, database: str = "postgres") -> Assertion:
    return Assertion(name=query[:60], query=query, database=database)
