"""The command line as a person uses it: up, protect, back up, restore, rescue, down."""

import json
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobServiceClient, ContainerClient

from integration.servers import Server, run_restored, start_server
from journey.person import Person
from journey.world import until
from ports import free_port
from strongroom.cli.basis.running import start_time
from strongroom.postgres.server import scratch

pytestmark = [pytest.mark.postgres, pytest.mark.journey]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with start_server(15) as found:
        found.sql("create table t as select g, md5(g::text) from generate_series(1, 5000) g")
        yield found


@pytest.fixture(scope="module")
def protected(person: Person, server: Server) -> str:
    told = person.ok("protect", "-", "--name", "orders", stdin=server.conninfo)
    assert "orders is protected" in told
    assert "recovery point" in told
    return "orders"


def test_up_leaves_private_files_that_say_how_to_reach_it(person):
    for name in ("connection.json", "recovery.key", "up.json", "store/account.key"):
        assert stat.S_IMODE((person.data / name).stat().st_mode) == 0o600, name
    found = json.loads((person.data / "connection.json").read_text())
    assert found["arm"].startswith("https://")
    assert found["portal"].startswith("http://127.0.0.1:")


def test_a_second_up_says_that_it_is_running(person):
    done = person.run("up")
    assert done.returncode == 1
    assert "already running" in done.stderr
    assert person.run("up", "--detach").returncode == 0


def test_a_server_that_is_not_there_is_refused_with_the_remedy_and_nothing_changes(person, server):
    text = f"host=127.0.0.1 port={free_port()} user=postgres dbname=postgres"
    done = person.run("protect", "-", "--name", "lacking", stdin=text)
    assert done.returncode == 1
    assert "missing: " in done.stderr
    assert "fix: " in done.stderr
    assert "lacking" not in person.ok("server", "list")


def test_protecting_twice_is_as_good_as_once(person, server, protected):
    before = person.json("points", protected)
    person.ok("protect", "-", "--name", protected, stdin=server.conninfo)
    assert person.json("points", protected) == before


def test_status_knows_the_last_good_point_and_the_next_backup(person, protected):
    found = person.json("status")
    assert found["running"]
    assert set(found["processes"]) == {"store", "serve", "agent"}
    [told] = [each for each in found["servers"] if each["name"] == protected]
    assert told["policy"] == "ten-years"
    assert told["lastGoodPoint"]
    assert told["nextBackup"].endswith("02:00")


def test_a_policy_says_which_points_it_keeps_on_a_day_to_come(person, protected, tmp_path):
    file = tmp_path / "same.json"
    file.write_text(json.dumps(person.json("policy", "show", "ten-years")))
    day = ("--from", "2026-01-01", "--on", "2035-12-30")
    told = person.json("policy", "preview", "ten-years", *day)
    assert len(told["points"]) == 42
    assert person.json("policy", "preview", str(file), *day) == told
    assert "the first point of 2026" in person.ok("policy", "preview", "ten-years", *day)
    assert "10 Yearly" in person.ok("policy", "preview", "ten-years")
    assert person.json("policy", "history", "ten-years")[0]["name"] == "1"
    assert person.ok("policy", "apply", "ten-years") == "every point ends as the policy says\n"


def test_nothing_is_wrong_with_it(person, protected):
    before = person.run("doctor")
    assert (before.returncode, before.stdout.count("- ")) == (1, 1)
    assert "never put on paper" in before.stdout
    person.ok("keys", "kit")
    assert person.ok("doctor") == "nothing is wrong\n"


@pytest.mark.parametrize("name", ["agent", "serve", "store"])
def test_a_process_that_is_killed_is_started_again_and_backups_go_on(person, protected, name):
    before = person.child(name)
    os.kill(before, signal.SIGKILL)
    until("another process", lambda: person.child(name) != before)
    until("it to be ready", (person.data / name / "ready.json").exists)
    assert "recovery point" in person.ok("backup", protected)


def test_what_is_backed_up_is_restored(person, server, protected):
    point = person.json("points", protected)[0]["id"]
    target = person.home / "restored"
    told = person.ok("restore", protected, "--point", point[:8], "--to-dir", str(target))
    assert "next: " in told
    with run_restored(server, target) as restored:
        assert restored.digests() == server.digests()


def test_a_restored_server_is_started_when_asked(person, server, protected):
    target, port = person.home / "started", free_port()
    words = ("restore", protected, "--to-dir", str(target), "--start", "--port", str(port))
    assert person.json(*words)["port"] == port
    scratch.stop(server.tools, target, "immediate")


def test_jobs_are_told_of_one_server_of_those_that_failed_and_of_the_newest(person, protected):
    every = person.json("jobs", "--last", "0")
    assert [job["server"] for job in every] == [protected] * len(every)
    assert person.json("jobs", protected, "--last", "2") == every[:2]
    failed = [job for job in every if job["status"] == "Failed"]
    assert person.json("jobs", protected, "--failed") == failed
    assert person.run("jobs", "nobody").returncode == 3
    assert person.run("jobs", "--last", "-1").returncode == 2


def test_one_table_is_planned_and_taken_out_of_a_point(person, server, protected):
    target = person.home / "part"
    words = ("--to-dir", str(target), "--database", "postgres", "--table", "t")
    planned = person.json("plan", protected, *words)
    whole = person.json("plan", protected)
    assert 0 < planned["readBytes"] <= whole["readBytes"]
    assert not target.exists()
    person.ok("restore", protected, *words)
    assert (target / "postgres.public.t.dump").read_bytes()[:5] == b"PGDMP"


def test_a_table_is_loaded_into_the_server_under_another_name(person, server, protected):
    words = ("--database", "postgres", "--table", "t", "--rename", "t_then")
    told = person.ok("restore", protected, "--to-server", protected, *words)
    assert f"restored {protected} into {protected}" in told
    found = server.digests()
    server.sql("drop table t_then")
    assert found["public.t_then"] == found["public.t"]


def test_all_is_left_as_files(person, protected):
    target = person.home / "files"
    person.ok("restore", protected, "--to-files", str(target), "--prefix", "p")
    names = {path.name for path in target.iterdir()}
    assert {"p_database_postgres.sql", "p_roles.sql", "p_RESTORE.md"} <= names


def test_what_is_stopped_and_deleted_is_shown_and_had_back(person, protected):
    assert "ProtectionStopped" in person.ok("stop", protected)
    [told] = [each for each in person.json("status")["servers"] if each["name"] == protected]
    assert (told["state"], told["nextBackup"]) == ("ProtectionStopped", None)
    assert "ProtectionConfigured" in person.ok("resume", protected)
    points = person.json("points", protected)
    newest = points[0]["id"]
    refused = person.run("delete", protected, "--point", newest)
    assert refused.returncode == 2
    assert f"--confirm {protected}" in refused.stderr
    person.ok("delete", protected, "--point", newest, "--confirm", protected)
    assert len(person.json("points", protected)) == len(points) - 1
    assert "deleted, purged" in person.ok("points", protected, "--deleted")
    person.ok("undelete", protected, "--point", newest[:12])
    assert person.json("points", protected)[0]["id"] == newest
    assert "it can be had back" in person.ok("delete", protected, "--confirm", protected)
    assert f"strongroom undelete {protected}" in person.ok("status")
    assert "is deleted" in person.run("backup", protected).stderr
    assert "stopped" in person.ok("undelete", protected)
    person.ok("resume", protected)
    assert person.json("points", protected) == points


def test_what_is_held_for_a_court_can_be_deleted_by_nobody(person, protected):
    point = person.json("points", protected)[0]["id"]
    told = person.ok("hold", "set", protected, "case-1", "--point", point, "--reason", "Smith")
    assert " held " in told
    assert "held by case-1" in person.ok("points", protected)
    refused = person.run("delete", protected, "--confirm", protected)
    assert refused.returncode == 1
    assert "held by case-1" in refused.stderr
    with pytest.raises(HttpResponseError) as caught:
        container_of(person).delete_blob(f"p/{point}.receipt")
    assert caught.value.error_code == "BlobImmutableDueToPolicy"
    assert "0 holds are left" in person.ok("hold", "release", protected, "case-1")
    assert person.json("hold", "list") == []


def test_a_filled_directory_is_never_restored_into(person, protected):
    target = person.home / "filled"
    target.mkdir()
    (target / "precious").write_text("keep me")
    done = person.run("restore", protected, "--to-dir", str(target))
    assert done.returncode == 1
    assert "not empty" in done.stderr
    assert [entry.name for entry in target.iterdir()] == ["precious"]


def test_a_further_agent_enrols_with_a_token_from_a_private_file(person):
    token = person.home / "db2.token"
    person.ok("server", "enrol-token", "--to", str(token))
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    found = json.loads((person.data / "connection.json").read_text())
    words = ["agent", "run", "--data", str(person.home / "agent2"), "--control", found["arm"]]
    command = [sys.executable, "-m", "strongroom", *words, "--ca", found["ca"]]
    agent = subprocess.Popen([*command, "--enrol", str(token)], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while not (person.home / "agent2" / "ready.json").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        agent.terminate()
        agent.wait()


def test_what_is_not_there_is_exit_code_three(person, protected):
    assert person.run("points", "nobody").returncode == 3
    done = person.run("plan", protected, "--point", "ffffffffffff")
    assert done.returncode == 3
    assert "hint: " in done.stderr


def test_a_client_with_a_wrong_secret_is_denied(person, protected):
    del protected
    other = Person(person.home / "other")
    other.data.mkdir(parents=True)
    found = json.loads((person.data / "connection.json").read_text())
    found["clientSecret"] = "wrong"
    (other.data / "connection.json").write_text(json.dumps(found))
    assert other.run("jobs").returncode == 4


def test_no_secret_is_in_an_argument_list_or_a_log(person, server, protected):
    del protected
    password = "correct-horse-battery"
    server.sql(f"create role keen login superuser password '{password}'")
    text = server.conninfo.replace("user=postgres", f"user=keen password={password}")
    person.ok("server", "add", "keen", "-", stdin=text)
    key = json.loads((person.data / "connection.json").read_text())["clientSecret"]
    for log in (person.data / "logs").iterdir():
        words = log.read_text()
        assert password not in words
        assert key not in words
    for name in ("store", "serve", "agent"):
        line = Path(f"/proc/{person.child(name)}/cmdline").read_bytes()
        assert password.encode() not in line


def test_what_a_locked_vault_keeps_the_holder_of_the_storage_key_cannot_delete(person, protected):
    assert "Disabled" in person.ok("vault", "show")
    refused = person.run("vault", "set", "--immutability", "locked")
    assert refused.returncode == 2
    assert "--confirm" in refused.stderr
    assert "Disabled" in person.ok("vault", "show")
    name = person.json("vault", "show")["name"]
    assert "Locked" in person.ok("vault", "set", "--immutability", "locked", "--confirm", name)
    assert person.run("vault", "set", "--immutability", "disabled").returncode != 0
    told = person.ok("vault", "set", "--backups-per-agent", "3")
    assert "3 of an agent, 64 of the vault" in told
    assert person.run("vault", "set", "--backups-per-vault", "0").returncode == 2
    container = container_of(person)
    names = [blob.name for blob in container.list_blobs() if blob.name[:2] in {"g/", "p/", "k/"}]
    assert len(names) > 4
    manifest = container.get_blob_client(next(n for n in names if n.endswith(".manifest")))
    until("the lock", lambda: manifest.get_blob_properties().immutability_policy.policy_mode)
    for name in names:
        with pytest.raises(HttpResponseError) as caught:
            container.delete_blob(name)
        assert caught.value.error_code == "BlobImmutableDueToPolicy", name


def container_of(person: Person) -> ContainerClient:
    """The one of the instance, with the account's key; the audit's anchors have their own."""
    found = json.loads((person.data / "connection.json").read_text())
    account = BlobServiceClient(
        f"{found['blob']}/{found['blobAccount']}", credential=found["blobKey"], retry_total=0
    )
    names = [each.name for each in account.list_containers()]
    return account.get_container_client(next(name for name in names if len(name) == 32))


def rescued(person: Person, point: str, name: str, *kit: Path) -> Path:
    """On a bare machine: a copy of the storage, pieces of paper, and nothing else of ours."""
    bare = person.home / name
    bare.mkdir()
    shutil.copytree(person.data / "store", bare / "storage")
    for file in (bare / "storage").glob("ledger*"):
        file.unlink()
    command = [sys.executable, "-m", "strongroom", "rescue", "--storage", str(bare / "storage")]
    command += [word for file in kit for word in ("--key", str(file))]
    command += ["--point", point, "--to", str(bare / "data")]
    environment = {"PATH": os.environ["PATH"], "HOME": str(bare)}
    done = subprocess.run(
        command, env=environment, cwd=bare, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return bare / "data"


def test_points_of_before_and_after_a_rotation_are_rescued_with_a_kit_on_paper(
    person, server, protected
):
    older = person.json("points", protected)[0]["id"]
    before = {key["keyId"] for key in person.json("keys", "list")["value"]}
    person.ok("keys", "rotate", protected)
    person.ok("keys", "rotate", "--kek")
    person.ok("backup", protected)
    newer = person.json("points", protected)[0]["id"]
    after = {key["keyId"]: key["inUse"] for key in person.json("keys", "list")["value"]}
    assert {key for key, used in after.items() if not used} == before
    assert len(after) == 4
    assert "every key" in person.ok("keys", "check")
    paper, later = person.home / "paper", person.home / "later"
    person.ok("keys", "kit", "--shares", "2-of-3", "--to", str(paper))
    shares = sorted(paper.iterdir())
    assert [stat.S_IMODE(share.stat().st_mode) for share in shares] == [0o600] * 3
    assert (rescued(person, older, "older", *shares[:2]) / "PG_VERSION").exists()
    target = rescued(person, newer, "newer", shares[2], shares[0])
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", "postgres:", str(target)], check=True)
    with run_restored(server, target) as restored:
        assert restored.digests() == server.digests()
    key = person.data / "recovery.key"
    kept = key.read_bytes()
    assert "K07 " in person.ok("keys", "kit", "--remove")
    assert not key.exists()
    assert "keys new-kit" in person.run("keys", "kit").stderr
    person.ok("keys", "new-kit", "--to", str(later))
    person.ok("keys", "new-kit", "--use", str(later / "kit.txt"))
    assert "every key" in person.ok("keys", "check")
    assert (rescued(person, newer, "anew", later / "kit.txt") / "PG_VERSION").exists()
    key.write_bytes(kept)
    key.chmod(0o600)


def test_storage_and_the_recovery_key_are_enough(person, server, protected):
    """Last but two: it stops everything."""
    point = person.json("points", protected)[0]["id"]
    changed = time.time()
    person.ok("server", "set", protected, "--bandwidth", "1GiB/s")
    snapshots = (person.data / "store" / "strongroom").glob
    until(
        "a snapshot of the settings",
        lambda: any(f.stat().st_mtime > changed for f in snapshots("catalogue-*/s/*.snapshot")),
    )
    person.ok("down")
    assert person.run("status").returncode == 1
    given = ("--storage", str(person.data / "store"), "--key", str(person.data / "recovery.key"))
    assert point in person.ok("rescue", *given)
    target = person.home / "rescued"
    person.ok("rescue", *given, "--point", point, "--to", str(target))
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", "postgres:", str(target)], check=True)
    with run_restored(server, target) as restored:
        assert restored.digests() == server.digests()


def contents_known(person) -> dict[str, tuple[object, ...]]:
    """Point -> databases, extensions and largest tables, as the catalogue has them."""
    with closing(sqlite3.connect(person.data / "serve" / "catalogue.sqlite")) as catalogue:
        rows = catalogue.execute("select id, facts from recovery_points").fetchall()
    told = "databases", "extensions", "tables"
    return {point: tuple(json.loads(facts)[name] for name in told) for point, facts in rows}


def test_a_catalogue_that_is_lost_is_built_anew_and_backups_go_on_incrementally(person, protected):
    """Last but one: it starts everything again. The keys of the lost one are lost as well."""
    before = contents_known(person)
    for lost in (person.data / "serve").glob("catalogue.sqlite*"):
        lost.unlink()
    (person.data / "serve" / "kek.key").unlink()
    kit = str(person.home / "later" / "kit.txt")
    ports = json.loads((person.data / "up.json").read_text())["ports"]
    found = person.json("rebuild", "--key", kit)
    assert (found["instances"], found["problems"], found["unknown"]) == (1, [], [])
    person.ok("up", "--detach")
    assert json.loads((person.data / "up.json").read_text())["ports"] == ports
    listed = person.json("points", protected)
    assert len(listed) == found["points"]
    assert any(tables for _, _, tables in before.values())
    assert contents_known(person) == {each["id"]: before[each["id"]] for each in listed}
    assert "1 known gaps" in person.ok("audit", "verify")
    wrong = person.run("doctor").stdout
    assert "is not the recovery key in force" in wrong
    assert "audit" not in wrong
    person.ok("backup", protected)
    newest = person.json("points", protected)[0]
    assert newest["kind"] == "Incremental"
    assert newest["id"] not in {each["id"] for each in listed}


def test_orphans_of_a_killed_up_are_ended_by_down(person):
    pids = [person.child(name) for name in ("store", "serve", "agent")]
    os.kill(int((person.data / "up.pid").read_text()), signal.SIGKILL)
    time.sleep(0.2)
    assert "stopped what was left" in person.ok("down")
    assert [start_time(pid) for pid in pids] == ["", "", ""]
