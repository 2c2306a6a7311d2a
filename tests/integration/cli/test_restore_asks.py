"""A restore gives nothing before it is agreed to: somebody at a terminal, and a real API."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from arm_story import Story, add_point
from arm_world import APP, GROUP, SECRET, SUBSCRIPTION, TENANT, ArmWorld, arm_world, server_id
from strongroom.catalog.tables.tables import role_assignments

INTO = "reports"
FACTS = {"databases": {"shop": 1}, "version_number": 180001}
LOAD = ("load", "pg1-inst", "--to-server", INTO, "--no-wait")


@pytest.fixture
def world() -> Iterator[ArmWorld]:
    with arm_world() as found:
        yield found


@pytest.fixture
def home(world: ArmWorld, tmp_path: Path) -> Path:
    with world.http() as http:
        story = Story(world, http)
        add_point(world, 1, "Logical", 1 << 20, FACTS)
        story.put(server_id(INTO), {"properties": {"strongroom": {"agentServer": INTO}}})
        world.agent_says(story.agent, INTO)
    told = {"portal": "", "arm": world.url, "ca": world.ca, "tenant": TENANT}
    told |= {"subscription": SUBSCRIPTION, "resourceGroup": GROUP, "location": "local"}
    told |= {"clientId": APP, "clientSecret": SECRET, "vault": "v1"}
    told |= {"blob": "", "blobAccount": "", "blobKey": ""}
    (tmp_path / "connection.json").write_text(json.dumps(told))
    return tmp_path


def answered(home: Path, answer: str) -> tuple[int, str]:
    """(exit code, all that was said) of a load at a terminal, where `answer` is typed."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "strongroom", *LOAD]
    environment = {**os.environ, "STRONGROOM_DATA": str(home)}
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        said = b""
        while part := _read(ours):
            said += part
            if said.rstrip().endswith(b"[y/N]"):
                os.write(ours, f"{answer}\n".encode())
        os.close(ours)
    return process.returncode, said.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # Linux: nobody is at its other end any more
        return b""


def given(world: ArmWorld) -> int:
    """How many roles are held at the server that is loaded."""
    with world.database.reading() as connection:
        rows = connection.execute(role_assignments.select()).mappings().all()
    return sum(row["scope_key"] == server_id(INTO).lower() for row in rows)


def test_a_role_is_given_after_the_yes_and_never_before(world: ArmWorld, home: Path) -> None:
    code, said = answered(home, "n")
    assert "nothing was loaded" in said
    assert "lacks 'PostgreSQL Flexible Server Long Term Retention Backup Role'" in said
    assert (code != 0, given(world)) == (True, 0)
    code, said = answered(home, "y")
    assert (code, given(world)) == (0, 1), said
