"""Each wall of pyproject.toml is broken once, in a copy, and must be seen to fall."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from house.tree import ROOT

SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONTRACTS = SETTINGS["tool"]["importlinter"]["contracts"]

# For each wall: where the forbidden line is written, and the line.
VIOLATIONS = {
    "Floors: each room imports only rooms below it": [
        ("control/work/jobs.py", "import strongroom.web.api.wire"),
        ("model/ids.py", "import strongroom.catalog.tables.tables"),
        ("cli/basis/console.py", "import strongroom.agent.loop"),
        ("catalog/work/jobs.py", "import strongroom.durable.engine"),
        ("attic/__init__.py", ""),  # a room that nobody argued for
    ],
    "The ground floor is pure: no clock, no chance, no outside": [
        ("model/protection/schedule.py", "import time"),
        ("model/identities/sas.py", "import os"),
        ("model/work/job.py", "import sqlalchemy"),
    ],
    "Wire parsers are sans-IO": [("postgres/wire/tar.py", "import socket")],
    "The data plane knows no catalogue: the agent moves bytes and decides nothing": [
        ("agent/loop.py", "import sqlalchemy"),
        ("datastore/packs/pack.py", "import strongroom.durable.engine"),
    ],
    "The control plane moves no bytes: it never touches a server or a pack": [
        ("control/points/backups.py", "import strongroom.datastore.packs.pack"),
        ("web/agents.py", "import strongroom.postgres.server.connect"),
    ],
    "Workflows never reach into a database server": [
        ("workflows/backup/backup.py", "import psycopg"),
    ],
    "Faces enter by control": [("web/api/jobs.py", "import strongroom.catalog.work.jobs")],
    "Storage is trusted alone: it knows nobody's words but the model's": [
        ("storage/blobs/store.py", "import strongroom.datastore.packs.seal")
    ],
    "The command line is a client: everything it does, the API can do": [
        ("cli/protection/protect.py", "import strongroom.postgres.backup.check"),
        ("cli/basis/rest.py", "import azure.identity"),
    ],
    "One room for the durable engine": [("workflows/care/sweeps.py", "import dbos")],
    "API and portal do not know each other": [
        ("web/portal/pages.py", "import strongroom.web.api.wire")
    ],
    "No circles": [("model/errors.py", "import strongroom.model.work.job")],
    "Inside the model: what is told and asked on what is kept, all on common words": [
        ("model/work/operation.py", "import strongroom.model.protection.policy"),
        ("model/protection/verdict.py", "import strongroom.model.points.retention"),
        ("model/sizes.py", "import strongroom.model.oversight.bill"),
        ("model/attic/__init__.py", ""),
    ],
    "Inside the datastore: reading and writing on maps, maps on packs": [
        ("datastore/packs/pack.py", "import strongroom.datastore.keys.keys"),
        ("datastore/packs/seal.py", "import strongroom.datastore.statements.receipt"),
        ("datastore/writing/writer.py", "import strongroom.datastore.reading.reader"),
        ("datastore/attic/__init__.py", ""),
    ],
    "Inside the catalogue: nouns on tables, sums of them on top": [
        ("catalog/tables/tables.py", "import strongroom.catalog.work.jobs"),
        ("catalog/points/holds.py", "import strongroom.catalog.protection.instances"),
        ("catalog/attic/__init__.py", ""),
    ],
    "Inside control: all on one basis, what is looked at above what is done": [
        ("control/basis/access.py", "import strongroom.control.identities.people"),
        ("control/restore/plans.py", "import strongroom.control.overview.fleet"),
        ("control/cellar/__init__.py", ""),
    ],
    "Inside the agent: proofs on restores, restores on the log": [
        ("agent/backup/physical.py", "import strongroom.agent.restore.journal"),
        ("agent/wal/keeper.py", "import strongroom.agent.process"),
    ],
    "Inside postgres: parts on restores and dumps, reading on pages and log": [
        ("postgres/restore/layout.py", "import strongroom.postgres.backup.basebackup"),
        ("postgres/log/wal_source.py", "import strongroom.postgres.backup.low_level"),
        ("postgres/attic/__init__.py", ""),
    ],
    "Inside the store: verbs on the door, the door on blobs, blobs on their book": [
        ("storage/ledger/ledger.py", "import strongroom.storage.blobs.store"),
        ("storage/blobs/store.py", "import strongroom.storage.door.request"),
        ("storage/attic/__init__.py", ""),
    ],
    "Inside the command line: all on one basis, the installation on top": [
        ("cli/basis/console.py", "import strongroom.cli.points.points"),
        ("cli/restore/plan.py", "import strongroom.cli.protection.protect"),
        ("cli/attic/__init__.py", ""),
    ],
    "Inside the stories: the clock's care above what it begins, all on one basis": [
        ("workflows/garbage/collect.py", "import strongroom.workflows.proof.lost"),
        ("workflows/backup/backup.py", "import strongroom.workflows.restore.restore"),
        ("workflows/attic/__init__.py", ""),
    ],
    "The recovery format stands on few libraries": [
        ("datastore/places/container.py", "import httpx")
    ],
}
CASES = [(wall, *case) for wall, cases in VIOLATIONS.items() for case in cases]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("walls")
    shutil.copytree(
        ROOT / "src", home / "src", ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
    )
    shutil.copy(ROOT / "pyproject.toml", home)
    return home


def lint(home: Path) -> str:
    """What import-linter says of a copy; PYTHONPATH makes the copy the package that is read."""
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [str(program), "--no-cache", "--no-logo"],
        cwd=home,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(home / "src")},
        check=False,
    )
    return done.stdout + done.stderr


def test_every_wall_has_a_violation_here():
    assert sorted(VIOLATIONS) == sorted(contract["name"] for contract in CONTRACTS)


def test_the_walls_stand(copy):
    assert f"Contracts: {len(CONTRACTS)} kept, 0 broken." in lint(copy)


@pytest.mark.parametrize(
    ("wall", "name", "line"), CASES, ids=[f"{case[1]}: {case[2]}" for case in CASES]
)
def test_breaking_a_wall_is_seen(copy, wall, name, line):
    path = copy / "src" / "strongroom" / name
    before = path.read_text() if path.exists() else None
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{before or ''}\n{line}\n")
    try:
        told = lint(copy)
    finally:
        if before is None:
            shutil.rmtree(path.parent)
        else:
            path.write_text(before)
    assert f"{wall} BROKEN" in told or ("exhaustive" in told.lower() and before is None), told
