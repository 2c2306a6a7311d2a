"""Logical backups as a person sees them: dump, change, dump, load into another server."""

import contextlib
import json
import sqlite3
import subprocess
import uuid
from collections.abc import Iterator

import pytest
from azure.storage.blob import BlobServiceClient

from file_places import AzurePlace, S3Place, a_container, s3
from integration.servers import Server, start_server
from journey.person import Person
from seams import SystemChance, SystemClock
from strongroom.catalog.basis.database import Database
from strongroom.catalog.tables.tables import schedules
from strongroom.cli.basis import rest
from strongroom.cli.basis.connection import load
from strongroom.cli.basis.means import Common
from strongroom.config import ServeFiles
from strongroom.model.arm import VaultRef, instance_id_of
from strongroom.model.errors import VaultError
from strongroom.model.identities.access import BLOB_CONTRIBUTOR

pytestmark = [pytest.mark.postgres, pytest.mark.journey]


@pytest.fixture(scope="module", autouse=True)
def bucket() -> Iterator[S3Place]:
    """Before the agent begins, which finds its credentials in its environment."""
    with s3() as (client, endpoint):
        client.create_bucket(Bucket="for-files")
        yield S3Place(client, "for-files", endpoint)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with start_server(14) as found:
        found.sql("create database shop", "create role clerk login")
        found.sql(
            "create table t as select g, md5(g::text) from generate_series(1, 50000) g",
            "alter table t owner to clerk",
            database="shop",
        )
        yield found


@pytest.fixture(scope="module")
def newer() -> Iterator[Server]:
    with start_server(18) as found:
        yield found


@pytest.fixture(scope="module")
def protected(person: Person, server: Server, newer: Server) -> str:
    person.ok("policy", "create", "best", "--backup-type", "full")
    person.ok("protect", "-", "--name", "orders", "--policy", "best", stdin=server.conninfo)
    person.ok("server", "add", "reports", "-", stdin=newer.conninfo)
    return "orders"


def test_a_policy_of_dumps_is_made_kept_and_changed_only_when_that_is_said(person, protected):
    told = person.ok("policy", "create", "dumps", "--backup-type", "logical")
    assert "policy dumps: Logical backups" in told
    person.ok("policy", "create", "dumps", "--backup-type", "Logical")
    file = person.home / "policy.json"
    file.write_text(json.dumps(person.json("policy", "show", "dumps")))
    physical = ("policy", "create", "dumps", "--file", str(file), "--backup-type", "Physical")
    refused = person.run(*physical)
    assert refused.returncode != 0
    assert "--replace" in refused.stderr
    person.ok(*physical, "--replace")
    [rule, *_] = person.json("policy", "show", "dumps")["properties"]["policyRules"]
    assert rule["backupParameters"]["backupType"] == "Physical"
    refused = person.run("policy", "create", "odd", "--backup-type", "Incremental")
    assert "not offered" in refused.stderr


def test_a_dump_is_a_point_and_the_next_one_stores_little(person, server, protected):
    first = person.json("backup", protected, "--logical")["recoveryPoint"]
    server.sql("update t set md5 = 'changed' where g % 5000 = 0", database="shop")
    second = person.json("backup", protected, "--logical")["recoveryPoint"]
    assert [p["kind"] for p in person.json("points", protected)] == ["Logical", "Logical", "Full"]
    assert second["storedBytes"] < first["storedBytes"] / 2


def test_it_is_loaded_into_a_server_of_a_newer_major(person, server, newer, protected):
    person.ok("backup", protected, "--logical")
    told = person.json("load", protected, "--to-server", "reports", "--with-roles")
    assert not told["warnings"]
    assert newer.digests("shop") == server.digests("shop") != {}
    assert newer.sql(
        "select tableowner from pg_tables where tablename = 't'", database="shop"
    ) == [("clerk",)]


def test_one_database_is_loaded_beside_the_old_one_under_another_name(person, server, protected):
    person.ok("backup", protected, "--logical")
    person.ok("load", protected, "--to-server", "orders", "--rename", "shop=shop then")
    assert server.digests("shop then") == server.digests("shop")


def test_a_dump_is_rescued_from_storage_with_the_recovery_key_alone(
    person, server, newer, protected
):
    person.ok("backup", protected, "--logical")
    point = person.json("points", protected)[0]["id"]
    place = person.home / "rescued"
    where = ("--storage", str(person.data / "store"), "--key", str(person.data / "recovery.key"))
    told = person.json("rescue", *where, "--point", point, "--to", str(place))
    assert f"pg_restore --exit-on-error -d NAME {place}/NAME.dump" in told["next"]
    assert 'CREATE ROLE "clerk"' in (place / "globals.sql").read_text()
    assert (place / "shop.dump").stat().st_mode & 0o077 == 0
    newer.sql('create database "shop rescued" template template0')
    target = newer.conninfo + " dbname='shop rescued'"
    programs = (str(newer.tools.program("pg_restore")), "--exit-on-error", "--no-owner")
    subprocess.run([*programs, "-d", target, str(place / "shop.dump")], check=True)
    assert newer.digests("shop rescued") == server.digests("shop")


def test_dumps_are_left_in_a_container_of_our_own_store_and_one_table_in_a_directory(
    person, server, protected
):
    person.ok("backup", protected, "--logical")
    sas = person.home / "out.sas"
    with _our_container(person) as place:
        sas.write_text(place.sas)
        refused = person.run("restore", protected, "--to-files", f"{place.url}?{place.sas}")
        assert refused.returncode != 0
        assert "--sas-file" in refused.stderr
        words = ("--to-files", place.url, "--prefix", "mon")
        assert person.json("plan", protected, *words)["target"] == place.url
        told = person.json("restore", protected, *words, "--sas-file", str(sas))
        assert "mon_RESTORE.md" in told["nextSteps"][0]
        assert place.get("mon_database_shop.sql")[:5] == b"PGDMP"
        again = person.run("restore", protected, *words, "--sas-file", str(sas))
        assert again.returncode != 0
        assert "already" in again.stderr
        _by_the_vaults_identity(person, protected, place)
        secret = place.sas.rpartition("sig=")[2].encode()
    files = [path for path in person.data.rglob("*") if path.is_file()]
    assert [path for path in files if secret in path.read_bytes()] == []
    table = person.home / "table"
    person.ok("restore", protected, "--to-dir", str(table), "--database", "shop", "--table", "t")
    assert (table / "shop.public.t.dump").read_bytes()[:5] == b"PGDMP"


def test_dumps_are_left_in_a_bucket_by_the_agent_with_credentials_of_its_own(
    person, server, protected, bucket
):
    person.ok("backup", protected, "--logical")
    words = ("--to-files", bucket.url, "--s3-endpoint", bucket.endpoint, "--prefix", "mon")
    assert person.json("plan", protected, *words)["target"] == bucket.url
    told = person.json("restore", protected, *words)
    assert "mon_RESTORE.md" in told["nextSteps"][0]
    assert bucket.get("mon_database_shop.sql")[:5] == b"PGDMP"
    manifest = json.loads(bucket.get("mon_manifest.json"))
    assert {each["name"] for each in manifest["files"]} <= bucket.names().keys()
    assert bucket.unfinished() == []
    again = person.run("restore", protected, *words)
    assert again.returncode != 0
    assert "already" in again.stderr


def _by_the_vaults_identity(person: Person, name: str, place: AzurePlace) -> None:
    """Without a signature, once it has the role that the refusal names."""
    words = ("restore", name, "--to-files", place.url, "--prefix", "unsigned")
    refused = person.run(*words)
    assert refused.returncode != 0
    assert "'Storage Blob Data Contributor' at " in refused.stderr
    command = refused.stderr[refused.stderr.index("az role assignment create") :].split()
    scope = command[command.index("--scope") + 1]
    assert scope.endswith("/blobServices/default/containers/for-files")
    connection = load(Common(data=person.data))
    with rest.opened(connection, SystemClock(), SystemChance()) as api:
        home = f"/subscriptions/{connection.subscription}/providers/Microsoft.Authorization"
        body = {
            "roleDefinitionId": f"{home}/roleDefinitions/{BLOB_CONTRIBUTOR.id}",
            "principalId": command[command.index("--assignee-object-id") + 1],
        }
        given = f"{scope}/providers/Microsoft.Authorization/roleAssignments/{uuid.uuid4()}"
        api.put(given, {"properties": body})
    assert _why_not(person, name, place.url) == ""
    person.ok(*words)
    assert place.get("unsigned_database_shop.sql")[:5] == b"PGDMP"
    assert "holds unsigned_manifest.json already" in _why_not(person, name, place.url)
    backups = place.url.replace("for-files", "0" * 32)
    refused = person.run("restore", name, "--to-files", backups)
    assert "no container that files can be left in" in refused.stderr


def _why_not(person: Person, name: str, url: str) -> str:
    """What validateRestore says against files there without a signature; empty when nothing."""
    found = load(Common(data=person.data))
    vault = VaultRef(resource_group=found.resource_group, name=found.vault)
    details = {"url": url, "filePrefix": "unsigned", "restoreTargetLocationType": "AzureBlobs"}
    target = {"objectType": "RestoreFilesTargetInfo", "targetDetails": details}
    request = {"recoveryPointId": person.json("points", name)[0]["id"]}
    asked = {"restoreRequestObject": {**request, "restoreTargetInfo": target}}
    place = instance_id_of(found.subscription, vault, name)
    with rest.opened(found, SystemClock(), SystemChance()) as api:
        try:
            api.post(f"{place}/validateRestore", asked)
        except VaultError as error:
            return error.message
    return ""


@contextlib.contextmanager
def _our_container(person: Person) -> Iterator[AzurePlace]:
    """Made with the account's key, as its owner would."""
    found = json.loads((person.data / "connection.json").read_text())
    url = f"{found['blob']}/{found['blobAccount']}"
    with BlobServiceClient(url, credential=found["blobKey"]) as service:
        yield a_container(service, found["blobAccount"], found["blobKey"], "for-files")


def test_what_cannot_be_is_refused_before_anything_begins(person, server, protected):
    person.ok("backup", protected, "--logical")
    logical, *_, full = [point["id"] for point in person.json("points", protected)]
    place = str(person.home / "nowhere")
    refused = person.run("restore", protected, "--point", logical, "--to-dir", place)
    assert refused.returncode != 0
    assert "strongroom load" in refused.stderr
    refused = person.run("load", protected, "--to-server", "reports", "--point", full)
    assert refused.returncode != 0
    assert "kind Logical" in refused.stderr
    refused = person.run("load", protected, "--to-server", "orders", "--database", "shop")
    assert refused.returncode != 0
    assert "not empty" in refused.stderr


def test_a_server_that_grants_no_replication_is_backed_up_by_dumps_and_told_why(person, server):
    server.sql("create role plain login", "grant pg_read_all_data to plain")
    text = server.conninfo.replace("user=postgres", "user=plain")
    done = person.run("protect", "-", "--name", "managed", stdin=text)
    assert done.returncode == 0, done.stderr
    assert "allows no physical backup" in done.stderr
    assert "ALTER ROLE plain REPLICATION" in done.stderr
    assert "dumps only" in person.ok("server", "check", "managed")
    done = person.run("backup", "managed")
    assert "logical backup: the role plain may not replicate" in done.stderr
    newest, first = person.json("points", "managed")
    assert [newest["kind"], first["kind"]] == ["Logical", "Logical"]
    assert newest["facts"]["why_logical"] == "the role plain may not replicate"
    assert newest["storedBytes"] < first["storedBytes"] / 2
    server.sql("alter role plain replication")
    person.ok("backup", "managed")
    assert person.json("points", "managed")[0]["kind"] == "Full"


def test_a_server_is_registered_and_protected_for_dumps_alone(person, server):
    server.sql("create role weak login", "grant pg_read_all_data to weak")
    text = server.conninfo.replace("user=postgres", "user=weak")
    person.ok("server", "add", "weak", "--logical", "-", stdin=text)
    told = person.ok("protect", "-", "--name", "weak", "--logical", stdin=text)
    assert ("load weak --to-server" in told, "--to-dir" in told) == (True, False)
    assert [point["kind"] for point in person.json("points", "weak")] == ["Logical"]
    assert person.json("jobs")[0]["status"] == "Completed"


def test_backups_are_taken_as_the_server_is_set_and_between_the_hooks_of_its_host(person, server):
    refused = person.run("server", "set", "weak", "--window", "22-6")
    assert refused.returncode != 0
    assert "22:00-06:00@Europe/Prague" in refused.stderr
    wished = ("--bandwidth", "80MiB/s", "--compression", "9", "--parallel", "3")
    person.ok("server", "set", "weak", *wished)
    person.ok("server", "set", "weak", "--window", "22:00-06:00@Europe/Prague")
    asked = {"bandwidth": 80 << 20, "compressionLevel": 9, "parallelism": 3}
    told = person.json("server", "show", "weak")["settings"]
    assert told == {
        **asked,
        "window": "22:00-06:00@Europe/Prague",
        "drillDays": 0,
        "operationalDays": 0,
        "slotBytes": 0,
    }
    assert "80.0 MiB/s, level 9, 3 side by side" in person.ok("server", "list")
    seen = person.home / "seen"
    agent = ("--data", str(person.data / "agent"))
    script = f"/bin/sh -c 'echo $STRONGROOM_SERVER $STRONGROOM_OUTCOME >> {seen}; exit 1'"
    person.ok("agent", "hooks", "weak", *agent, "--post", script)
    done = person.run("backup", "weak")
    assert done.returncode == 0, done.stderr
    assert "warning: the post hook of the agent's host ended with 1" in done.stderr
    assert person.json("jobs")[0]["status"] == "CompletedWithWarnings"
    assert seen.read_text() == "weak Completed\n"
    assert {**order_of_the_last_backup(person), **asked} == order_of_the_last_backup(person)
    person.ok("agent", "hooks", "weak", *agent, "--pre", "/bin/false")
    done = person.run("backup", "weak")
    assert done.returncode != 0
    assert "pre hook of the agent's host ended with 1" in done.stderr


def test_a_backup_that_missed_its_window_is_told_by_status_and_doctor(person, server):
    now = SystemClock().now().to_tz("UTC")
    begins, ends = (now.add(hours=hours).time().format("HH:mm") for hours in (10, 12))
    person.ok("server", "set", "weak", "--window", f"{begins}-{ends}@UTC")
    due = now.subtract(hours=30).to_instant()
    catalogue = Database(f"sqlite:///{ServeFiles(person.data / 'serve').catalogue}")
    with contextlib.closing(catalogue), catalogue.writing() as connection:
        connection.execute(schedules.update().values(next_fire_at=due))
    told = next(each for each in person.json("status")["servers"] if each["name"] == "weak")
    assert told["missedWindow"]
    assert told["nextBackup"].endswith(begins)
    assert "weak: the backup of" in person.ok("status")
    assert "weak missed its window" in person.run("doctor").stdout


def order_of_the_last_backup(person) -> dict[str, object]:
    """What the agent was asked, as the catalogue keeps it."""
    files = ServeFiles(person.data / "serve")
    with contextlib.closing(sqlite3.connect(files.catalogue)) as catalogue:
        query = 'select "order" from agent_operations order by created_at desc limit 1'
        return json.loads(catalogue.execute(query).fetchone()[0])
