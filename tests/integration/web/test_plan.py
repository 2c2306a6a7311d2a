"""A restore is planned first: bytes, time, log and warnings, and nothing is changed."""

import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import sqlalchemy as sa

from arm_story import INSTANCE_ID, Story, add_point
from arm_world import VERSION, ArmWorld, server_id
from file_places import places
from strongroom.agent.files.look_at import look_at
from strongroom.agent.held_lease import HeldLease
from strongroom.agent.restore.data_directory import Grounds
from strongroom.agent.restore.journal import RestoreJournal
from strongroom.catalog.points import drills, recovery_points
from strongroom.catalog.tables.tables import agent_operations, instances, jobs, servers
from strongroom.catalog.work import agents as agent_rows
from strongroom.control.restore import plans
from strongroom.control.work import agents
from strongroom.model.work.drill import FAILED, PASSED, Drill
from strongroom.model.work.operation import Progress

MEGABYTE = 1 << 20
FACTS = {
    "version_number": 140005,
    "databases": {"shop": 30 * MEGABYTE, "postgres": 8 * MEGABYTE},
    "start_lsn": "0/3000028",
    "stop_lsn": "0/3400028",
}


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """On the disk."""
    with tempfile.TemporaryDirectory(prefix="plan-", dir="/var/tmp") as name:
        yield Path(name)


@pytest.fixture(scope="module")
def memory() -> Iterator[Path]:
    """On another file system than everything else."""
    with tempfile.TemporaryDirectory(prefix="plan-", dir="/dev/shm") as name:
        yield Path(name)


@pytest.fixture(scope="module", autouse=True)
def points(world: ArmWorld, story: Story) -> None:
    """1: physical, 2: damaged and larger than any disk, 3: logical."""
    for number, (kind, size) in enumerate(
        (("Full", 400 * MEGABYTE), ("Full", 1 << 60), ("Logical", 40 * MEGABYTE)), 1
    ):
        add_point(world, number, kind, size, FACTS)
    with world.database.writing() as connection:
        lost = {"damaged": ["g/1/2.pack"], "damaged_pages": {"base/5/16384": [3]}}
        recovery_points.note_facts(connection, f"{2:032x}", lost)
    story.put(server_id("pg2"), {"properties": {"strongroom": {"agentServer": "newer"}}})
    world.agent_says(story.agent, "newer", databases={"shop": 1}, versionNumber=180001)
    story.put(server_id("pg3"), {"properties": {"strongroom": {"agentServer": "older"}}})
    world.agent_says(story.agent, "older", versionNumber=130001)


@pytest.fixture(scope="module")
def agent(world: ArmWorld, story: Story, place: Path, memory: Path) -> Iterator[None]:
    """One that looks, in earnest, and restores beneath `place` and `memory` alone."""
    ending = threading.Event()
    with world.database.writing() as connection:
        agent_rows.begin_session(connection, story.agent, "session")
    grounds = Grounds((place, memory), RestoreJournal(place / "journal"))

    def work() -> None:
        while not ending.wait(0.02):
            lease = agents.lease_operation(world.control, story.agent, "session")
            if lease is not None:
                held = HeldLease(world.control, lease, world.clock, 60.0)
                done = look_at(held, grounds.allow, world.chance)
                agents.complete_operation(world.control, story.agent, lease.operation_id, done)

    thread = threading.Thread(target=work)
    thread.start()
    yield
    ending.set()
    thread.join()


def plan(story: Story, point: int, status: int = 200, **wish: Any) -> dict[str, Any]:
    request = {
        "recoveryPointId": f"{point:032x}",
        "restoreTargetInfo": {"objectType": "RestoreTargetInfo", "strongroom": wish},
    }
    body = {"restoreRequestObject": request}
    answer = story.http.post(f"{INSTANCE_ID}/planRestore", params=VERSION, json=body)
    assert answer.status_code == status, answer.text
    told: dict[str, Any] = answer.json()
    return told


def codes(told: dict[str, Any]) -> list[str]:
    return [warning["code"] for warning in told["warnings"]]


def checks(told: dict[str, Any]) -> list[str]:
    return [check["code"] for check in told["checks"]]


def test_a_new_directory_is_planned_without_a_warning(story, place, agent):
    told = plan(story, 1, targetDirectory=str(place / "new" / "deep"))
    assert told["warnings"] == []
    assert checks(told) == ["ReadBack", "TargetEmpty", "TargetRoom"]
    assert told["checks"][0]["at"].endswith("Z")
    assert (told["kind"], told["target"]) == ("Server", str(place / "new" / "deep"))
    assert (told["readBytes"], told["writeBytes"]) == (100 * MEGABYTE, 400 * MEGABYTE)
    assert told["walBytes"] == 4 * MEGABYTE
    assert told["freeBytes"] == pytest.approx(shutil.disk_usage(place).free, rel=0.1)
    assert told["time"]["seconds"] is None
    assert not (place / "new").exists()


def test_a_point_that_a_drill_has_restored_says_so(world, story, place, agent):
    first = world.clock.now().round("second")
    with world.database.reading() as connection:
        instance = connection.execute(sa.select(instances.c.id)).scalar_one()
    said = []
    for number, verdict in enumerate((PASSED, FAILED, PASSED), 1):
        ended = first.add(hours=number)
        with world.database.writing() as connection:
            drill = Drill(
                id=f"{number:032x}",
                instance_id=instance,
                recovery_point_id=f"{1:032x}",
                began_at=ended,
                ended_at=ended,
                verdict=verdict,
                result={"problems": ["orders.shop: 3 rows are gone"]},
                evidence_name=f"e/{number}",
                evidence_blake3=b"",
                evidence=b"",
            )
            drills.add(connection, drill)
        told = plan(story, 1, targetDirectory=str(place / "new"))
        assert checks(told)[1:] == ["TargetEmpty", "TargetRoom"]
        said.append((checks(told)[0], codes(told)))
    wanted = [("Drilled", []), ("ReadBack", ["DrillFailed"]), ("Drilled", [])]
    assert said == wanted, "no green of before a failure, nor a red one of before a success"
    assert told["checks"][0]["at"] == ended.format_iso()


def test_what_stands_in_the_way_is_told_and_the_damage_first(world, story, place, agent):
    world.agent_says(story.agent, "main", tablespaces={"17001": str(place)})
    (place / "filled").mkdir()
    (place / "filled" / "mine").touch()
    told = plan(story, 2, targetDirectory=str(place / "filled"))
    world.agent_says(story.agent, "main")
    assert codes(told) == [
        "PointDamaged",
        "SourceDamaged",
        "TargetNotEmpty",
        "TargetTooSmall",
        "TablespaceUnmapped",
    ]
    assert "is not empty" in told["warnings"][4]["message"]
    assert told["checks"] == []


def test_a_mapped_tablespace_is_looked_at_where_it_goes(world, story, place, agent):
    world.agent_says(story.agent, "main", tablespaces={"17001": "/srv/fast"})
    for name, wanted in (("filled", ["TargetNotEmpty"]), ("fresh", [])):
        to = {"/srv/fast": str(place / name)}
        assert codes(plan(story, 1, targetDirectory=str(place / "n"), tablespaces=to)) == wanted
    to = {"/srv/fast": str(place / "fresh"), "/srv/slow": str(place / "more")}
    told = plan(story, 1, targetDirectory=str(place / "n"), tablespaces=to)["warnings"]
    assert [each["code"] for each in told] == ["NoSuchTablespace"]
    assert ("/srv/slow" in told[0]["message"], "/srv/fast" in told[0]["hint"]) == (True, True)
    world.agent_says(story.agent, "main")


def test_each_file_system_must_have_room_for_what_goes_there(world, story, place, memory, agent):
    world.agent_says(story.agent, "main", tablespaces={"17001": "/srv/fast"})
    free = shutil.disk_usage(memory).free
    wish = {"targetDirectory": str(place / "n"), "tablespaces": {"/srv/fast": str(memory / "n")}}
    for number, size in ((4, free + 64 * MEGABYTE), (5, MEGABYTE)):
        facts = FACTS | {"tablespaces": {"/srv/fast": size}}
        add_point(world, number, "Full", size + 40 * MEGABYTE, facts)
    short, fits = plan(story, 4, **wish), plan(story, 5, **wish)
    world.agent_says(story.agent, "main")
    assert short["freeBytes"] > short["writeBytes"], "all together would do"
    assert codes(short) == ["TargetTooSmall"]
    assert f"are written to {memory / 'n'}," in short["warnings"][0]["message"]
    assert ("TargetRoom" in checks(short), "TargetRoom" in checks(fits)) == (False, True)
    assert codes(fits) == []


def test_what_the_agent_would_refuse_is_told_in_its_words(story, agent):
    told = plan(story, 1, targetDirectory="/srv/elsewhere")
    assert "outside the directories" in told["warnings"][0]["message"]


def test_the_time_is_told_from_what_the_same_agent_did_before(world, story, place, agent):
    now = world.clock.now()
    with world.database.writing() as connection:
        instance = connection.execute(instances.select()).mappings().one()
        for kind, step, order, count in (
            ("Backup", "Read and store data", {"kind": "Full"}, 100),
            ("Restore", "Restore data", {"part": {"database": "shop"}}, 10),
            ("Restore", "Restore data", {}, 200),
            ("Restore", "Restore data", {"part": {"database": "shop", "table": "t"}}, 1),
        ):
            progress = Progress(step="Completed", done_bytes=count * MEGABYTE)
            begun, ended = now.subtract(seconds=20), now.subtract(seconds=10)
            task = {"name": step, "status": "Completed"}
            task |= {"started_at": begun.format_iso(), "ended_at": ended.format_iso()}
            row = {
                "id": f"done-{count}",
                "vault_id": instance["vault_id"],
                "instance_id": instance["id"],
                "kind": kind,
                "status": "Completed",
                "started_at": now,
                "ended_at": now,
                "rule_name": "",
                "tag": "",
                "user_triggered": True,
                "requested_by": "",
                "order": order,
                "progress": msgspec.to_builtins(progress),
                "sub_tasks": [task],
                "warnings": [],
            }
            connection.execute(jobs.insert(), [row])
    whole = plan(story, 1, targetDirectory=str(place / "new"))["time"]
    assert whole["seconds"] == pytest.approx(20)
    assert (whole["measured"], whole["jobs"]) == ("restores", 1)
    part = plan(story, 1, targetDirectory=str(place / "new"), part={"database": "shop"})
    assert part["time"]["measured"] == "extracts"
    assert part["writeBytes"] == 78 * MEGABYTE
    assert part["time"]["seconds"] == pytest.approx(78)
    table = {"database": "shop", "table": "public.u"}
    told = plan(story, 1, targetDirectory=str(place / "new"), part=table)["time"]
    assert (told["seconds"], told["measured"]) == (pytest.approx(10), "tables")
    load = plan(story, 3, load={"targetServer": "pg2", "databases": {"shop": "shop2"}})
    assert load["time"]["measured"] == "backups"


def test_a_load_tells_of_the_newer_server_and_of_what_is_there(story):
    told = plan(story, 3, load={"targetServer": "pg2", "databases": {}})
    assert (told["kind"], told["target"], told["walBytes"]) == ("Load", "pg2", 0)
    assert codes(told) == ["PublicSchemaClosed", "DatabaseThere"]
    assert checks(told)[-1] == "TargetMajor"
    refused = plan(story, 3, 400, load={"targetServer": "pg3", "databases": {}})
    assert "PostgreSQL 13" in str(refused)


def test_one_database_into_an_older_server_is_told_as_a_mismatch(story, place, agent):
    told = plan(story, 1, part={"database": "shop", "targetServer": "pg3"})
    assert codes(told) == ["MajorMismatch"]
    assert "TargetMajor" not in checks(told)
    assert told["freeBytes"] is not None, "of where the scratch server runs"
    assert plan(story, 1, part={"database": "none", "targetServer": "pg3"})["warnings"][0][
        "code"
    ] == ("NoSuchDatabase")


def test_in_place_the_servers_own_directory_is_told_as_overwritten(world, story, place, agent):
    world.agent_says(story.agent, "main", dataDirectory=str(place / "filled"), ready=True)
    world.agent_says(story.agent, "main", ready=True)
    told = plan(story, 1, inPlace=True)
    assert (told["kind"], told["target"]) == ("InPlace", str(place / "filled"))
    assert codes(told) == ["Overwritten"], "it was ready once, and nothing runs there now"
    (place / "filled" / "postmaster.pid").write_text(f"{os.getpid()}\n")
    told = plan(story, 1, inPlace=True)
    assert codes(told) == ["Overwritten", "ServerRuns"]
    assert f"process {os.getpid()}" in told["warnings"][1]["message"]
    assert "stop" in told["warnings"][1]["hint"]
    elsewhere = plan(story, 1, inPlace=True, targetDirectory=str(place / "new"))
    assert codes(elsewhere) == ["Overwritten", "NoDataDirectory"], "the server is not there"
    refused = plan(story, 1, 400, inPlace=True, part={"database": "shop"})
    assert "never restored in place" in str(refused)


def test_without_a_place_the_point_alone_is_told(story):
    told = plan(story, 1, targetDirectory="")
    assert (told["kind"], told["target"], told["warnings"]) == ("Server", "", [])
    assert plan(story, 3, targetDirectory="")["kind"] == "Load"


def validated(story: Story, where: str, wanted: str = "") -> httpx.Response:
    """The answer to validateRestore of point 3 as files."""
    details = {"url": where, "filePrefix": "p", "restoreTargetLocationType": "AzureBlobs"}
    target = {"objectType": "RestoreFilesTargetInfo", "targetDetails": details}
    request = {"recoveryPointId": f"{3:032x}", "restoreTargetInfo": target}
    body = {"restoreRequestObject": request}
    headers = {"x-ms-client-request-id": wanted} if wanted else {}
    return story.http.post(
        f"{INSTANCE_ID}/validateRestore", params=VERSION, json=body, headers=headers
    )


def test_a_container_is_looked_into_before_a_restore_begins(world, story, agent):
    with places("ours") as kind:
        place = kind.new()
        where = f"{place.url}?{place.sas}"
        answer = validated(story, where, wanted="once")
        assert answer.status_code == 202, answer.text
        done = story.http.get(answer.headers["Azure-AsyncOperation"]).json()
        assert (done["status"], done["properties"]["jobId"]) == ("Succeeded", None)
        assert place.names() == {}

        place.put("p_database_shop.sql", b"precious")
        again = validated(story, where, wanted="once")  # the same request: the same answer
        assert again.headers["Location"] == answer.headers["Location"]
        taken = validated(story, where)
        assert taken.status_code == 400
        error = taken.json()["error"]
        assert error["code"] == "BMSUserErrorInvalidInput"
        assert error["additionalInfo"][0]["info"]["innerError"]["code"] == "TargetNotEmpty"
        assert "p_database_shop.sql" in error["message"]

        for wrong in (f"{place.url}-gone?{place.sas}", f"{where[:-9]}AAAAAAAA%3D"):
            refused = validated(story, wrong).json()["error"]
            assert refused["code"] == "UserErrorContainerNotAccessible"
            assert refused["additionalInfo"][0]["info"]["recommendedAction"]
        assert set(place.names()) == {"p_database_shop.sql"}
        secret = place.sas.rpartition("sig=")[2]
    assert world.control.looks == {}
    with world.database.reading() as connection:
        rows = connection.execute(agent_operations.select()).mappings().all()
    assert secret not in repr(rows)
    assert any(row["order"].get("files") for row in rows)


def test_a_directory_is_looked_at_before_a_restore_begins(story, place, agent):
    def told(directory: Path, **wish: Any) -> httpx.Response:
        wish["targetDirectory"] = str(directory)
        target = {"objectType": "RestoreTargetInfo", "strongroom": wish}
        request = {"recoveryPointId": f"{1:032x}", "restoreTargetInfo": target}
        body = {"restoreRequestObject": request}
        return story.http.post(f"{INSTANCE_ID}/validateRestore", params=VERSION, json=body)

    (place / "taken").mkdir()
    assert told(place / "taken").status_code == 202
    (place / "taken" / "precious").touch()
    refused = told(place / "taken").json()["error"]
    assert f"{place / 'taken'} is not empty: it holds precious" in refused["message"]
    assert refused["additionalInfo"][0]["info"]["innerError"]["code"] == "TargetNotEmpty"
    outside = told(Path("/srv/elsewhere"))
    assert outside.status_code == 400
    assert "outside the directories" in outside.json()["error"]["message"]
    assert "Container" not in outside.json()["error"]["code"]
    assert told(place / "taken", inPlace=True).status_code == 202, "that is what is wanted"


def test_a_host_that_sends_nothing_there_says_so_before_a_restore_begins(world, story, agent):
    told = validated(story, "http://127.0.0.2:1/acct/out?sp=rcw&sig=x").json()["error"]
    assert told["code"] == "UserErrorContainerNotAccessible"
    assert "cannot be reached" in told["message"]


def test_an_agent_that_does_not_answer_is_not_waited_for(world, story, place, monkeypatch):
    with world.database.writing() as connection:
        agent_rows.begin_session(connection, story.agent, "another process")
    monkeypatch.setattr(plans, "LOOK_SECONDS", 0.3)
    told = plan(story, 1, targetDirectory=str(place / "new"))
    assert codes(told) == ["TargetUnseen"]
    assert told["freeBytes"] is None
    with world.database.writing() as connection:
        connection.execute(servers.update().values(seen_at=None))
    monkeypatch.setattr(plans, "LOOK_SECONDS", 600)
    assert codes(plan(story, 1, targetDirectory=str(place / "new"))) == ["TargetUnseen"]
    with world.database.reading() as connection:
        found = connection.execute(agent_operations.select()).mappings().all()
    assert {row["status"] for row in found} == {"completed", "cancelled"}
