"""Geo redundancy: a second endpoint pulls, the first is gone, and Azure's client restores."""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator

import psycopg
import pytest
from azure.core.exceptions import HttpResponseError
from azure.mgmt.dataprotection import models as m

from journey.cloud import Cloud, a_request, digest, ended_job, fill, protect, restore_request
from journey.world import House, until
from ports import free_port
from strongroom.postgres.server import scratch

pytestmark = [pytest.mark.postgres, pytest.mark.journey]


@pytest.fixture
def house() -> Iterator[House]:
    """Its store gives a reader key; its serve knows of the second endpoint."""
    found = House()
    try:
        for name in ("reader", "second"):
            key = found.directory / f"{name}.key"
            key.write_text(base64.b64encode(os.urandom(64)).decode())
            key.chmod(0o600)
        port = found.ports["second"] = free_port()
        reader = str(found.directory / "reader.key")
        found.more["store"] = ["--reader-key", reader]
        found.more["second"] = ["--reader-key", reader, "--pull-key", reader, "--pull-from"]
        found.more["second"] += [f"http://127.0.0.1:{found.ports['store']}/strongroom"]
        url = f"http://127.0.0.1:{port}/strongroom"
        found.more["serve"] = ["--second-url", url, "--second-key", reader]
        found.start_all()
        yield found
    finally:
        found.close()


def start_second(house: House) -> None:
    home = house.directory / "second"
    home.mkdir(mode=0o700, exist_ok=True)
    (home / "ready.json").unlink(missing_ok=True)
    words = ["store", str(home), "--account-key", str(house.directory / "second.key")]
    words += ["--port", str(house.ports["second"]), *house.more["second"]]
    house.proc.start("second", [*house.command("store")[:3], *words], None)
    until("the second endpoint", (home / "ready.json").exists)


def make_the_second_the_first(house: House) -> None:
    """As docs/operations.md says: without `--pull-from` it is an endpoint like any other."""
    for name in ("serve", "second"):
        house.kill(name)
    house.more["second"], house.more["serve"] = [], []
    start_second(house)
    house.reached["store"], house.key = house.ports["second"], house.directory / "second.key"
    house.start("serve")
    house.wait_ready("serve")


def cross_regions(cloud: Cloud) -> None:
    vault = cloud.backup.backup_vaults.get(cloud.group, cloud.vault)
    vault.properties.storage_settings[0].type = "GeoRedundant"
    state = m.CrossRegionRestoreSettings(state="Enabled")
    vault.properties.feature_settings = m.FeatureSettings(cross_region_restore_settings=state)
    changing = cloud.backup.backup_vaults.begin_create_or_update(cloud.group, cloud.vault, vault)
    assert changing.result().properties.feature_settings.cross_region_restore_settings == state


def vault_of(cloud: Cloud) -> str:
    return f"{cloud.scope()}/providers/Microsoft.DataProtection/backupVaults/{cloud.vault}"


class Second:
    """Azure's operations of the second region, for one instance."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud, self.operations = cloud, cloud.backup.backup_instances
        self.source = f"{vault_of(cloud)}/backupInstances/pg1-inst"

    def points(self) -> list[m.AzureBackupRecoveryPointResource]:
        wanted = m.FetchSecondaryRPsRequestParameters(
            source_region="local", source_backup_instance_id=self.source
        )
        fetch = self.cloud.backup.fetch_secondary_recovery_points
        return list(fetch.list(self.cloud.group, "local2", wanted))

    def crossing(self, wish: object) -> m.CrossRegionRestoreRequestObject:
        return m.CrossRegionRestoreRequestObject(
            restore_request_object=wish,
            cross_region_restore_details=m.CrossRegionRestoreDetails(
                source_region="local", source_backup_instance_id=self.source
            ),
        )

    def restore(self, wish: object) -> str:
        """The job that did it."""
        begin = self.operations.begin_trigger_cross_region_restore
        job = ended_job(
            self.cloud, begin(self.cloud.group, "local2", self.crossing(wish)).result()
        )
        assert job.properties.status == "Completed", job.properties.error_details
        return str(job.name)

    def into_server(self, point: str, **wish: object) -> str:
        """Our own words, beside Azure's."""
        target = m.RestoreTargetInfoBase(recovery_option="FailIfExists", restore_location="local")
        target["objectType"] = "RestoreTargetInfo"
        target["strongroom"] = wish
        return self.restore(a_request(point, target))


def test_with_the_first_endpoint_gone_azures_client_restores_from_the_second(house, postgres):
    cloud = Cloud(house)
    before = fill(postgres)
    protect(cloud, house, "pg1", postgres.conninfo)
    second = Second(cloud)
    for kind in ({}, {"backupType": "Logical"}):
        job = ended_job(cloud, back_up(cloud, **kind))
        assert job.properties.status == "Completed", job.properties.error_details
    start_second(house)
    with pytest.raises(HttpResponseError, match="not switched on"):
        second.points()
    cross_regions(cloud)
    until("both points", lambda: len(second.points()) == 2, 120)
    told = until("no lag", lambda: _caught_up(cloud), 120)
    assert told["location"] == "local2"
    assert told["goneObjects"] == 0

    house.kill("store")
    shutil.rmtree(house.directory / "store")
    physical = second.points()[1]
    target, port = postgres.home / "restored", free_port()
    wish = restore_request(cloud, physical.name, f"{target}?start=true&port={port}")
    crossing, operations = second.crossing(wish), second.operations
    operations.begin_validate_cross_region_restore(cloud.group, "local2", crossing).result()
    with pytest.raises(HttpResponseError, match="not the second region"):
        operations.begin_trigger_cross_region_restore(cloud.group, "elsewhere", crossing).result()
    restored = second.restore(wish)
    try:
        assert digest(f"host=127.0.0.1 port={port} user=postgres dbname=postgres") == before
    finally:
        scratch.stop(postgres.tools, target, "immediate")
    with psycopg.connect(postgres.conninfo) as connection:
        connection.execute("update entries set words = 'spoiled'")
    postgres.stop()
    jobs = {restored, second.into_server(physical.name, inPlace=True)}
    postgres.start()
    assert digest(postgres.conninfo) == before
    table = {"database": "postgres", "table": "entries", "rename": "then", "targetServer": "pg1"}
    jobs.add(second.into_server(physical.name, part=table))
    jobs.add(load_by_command(house, cloud))
    with psycopg.connect(postgres.conninfo) as connection:
        found = connection.execute('select count(*), sum(hashtext(words)) from "then"').fetchone()
    assert found == before
    assert digest(postgres.conninfo.replace("dbname=postgres", "dbname=loaded")) == before
    _jobs_are_told(cloud, jobs)

    make_the_second_the_first(house)
    again = ended_job(cloud, back_up(cloud))
    assert again.properties.status == "Completed", again.properties.error_details
    newest = cloud.points("pg1-inst")[0]
    assert newest.properties.recovery_point_type == "Incremental"
    target, port = postgres.home / "again", free_port()
    wish = restore_request(cloud, newest.name, f"{target}?start=true&port={port}")
    job = ended_job(cloud, cloud.restore("pg1-inst", wish))
    assert job.properties.status == "Completed", job.properties.error_details
    try:
        assert digest(f"host=127.0.0.1 port={port} user=postgres dbname=loaded") == before
    finally:
        scratch.stop(postgres.tools, target, "immediate")


def load_by_command(house: House, cloud: Cloud) -> str:
    """A person who loads the newest dump that the second has; the job that did it."""
    home = house.directory / "person"
    home.mkdir()
    found = {**house.connection, "resourceGroup": cloud.group, "vault": cloud.vault}
    (home / "connection.json").write_text(json.dumps(found))
    (home / "connection.json").chmod(0o600)
    words = ["load", "pg1-inst", "--to-server", "pg1", "--rename", "postgres=loaded"]
    words += ["--from-second", "--yes", "--output", "json", "--data", str(home)]
    command = [*house.command("agent")[:3], *words]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    return str(json.loads(told.stdout)["job"])


def back_up(cloud: Cloud, **more: str) -> m.OperationJobExtendedInfo:
    options = {"ruleName": "BackupWeekly", "strongroom": more}
    return cloud.backup.backup_instances.begin_adhoc_backup(
        cloud.group, cloud.vault, "pg1-inst", {"backupRuleOptions": options}
    ).result()


def _jobs_are_told(cloud: Cloud, expected: set[str]) -> None:
    asked = m.CrossRegionRestoreJobsRequest(
        source_region="local", source_backup_vault_id=vault_of(cloud)
    )
    listed = list(cloud.backup.fetch_cross_region_restore_jobs.list(cloud.group, "local2", asked))
    assert {each.name for each in listed} == expected
    assert {each.properties.operation for each in listed} == {"Restore"}
    single = m.CrossRegionRestoreJobRequest(
        source_region="local", source_backup_vault_id=vault_of(cloud), job_id=listed[0].name
    )
    same = cloud.backup.fetch_cross_region_restore_job.get(cloud.group, "local2", single)
    assert same.name == listed[0].name


def _caught_up(cloud: Cloud) -> dict | None:
    told = cloud.ask("GET", f"{vault_of(cloud)}/secondCopy")
    return told if told["lagSeconds"] is not None and not told["behindObjects"] else None
