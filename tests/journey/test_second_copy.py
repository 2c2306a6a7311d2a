"""Geo redundancy: a second endpoint pulls, the first is gone, and Azure's client restores."""

import base64
import os
import shutil
from collections.abc import Iterator

import pytest
from azure.core.exceptions import HttpResponseError
from azure.mgmt.dataprotection import models as m

from journey.cloud import Cloud, digest, ended_job, fill, protect, restore_request
from journey.world import House, Postgres, until
from ports import free_port
from strongroom.postgres import scratch

pytestmark = [pytest.mark.postgres, pytest.mark.journey]


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    found = Postgres()
    try:
        yield found
    finally:
        found.close()


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
    words = ["store", str(home), "--account-key", str(house.directory / "second.key")]
    words += ["--port", str(house.ports["second"]), *house.more["second"]]
    house.proc.start("second", [*house.command("store")[:3], *words], None)
    until("the second endpoint", (home / "ready.json").exists)


def test_with_the_first_endpoint_gone_azures_client_restores_from_the_second(house, postgres):
    cloud = Cloud(house)
    before = fill(postgres)
    protect(cloud, house, "pg1", postgres.conninfo)
    job = ended_job(cloud, cloud.back_up("pg1-inst"))
    assert job.properties.status == "Completed"
    start_second(house)
    home = f"{cloud.scope()}/providers/Microsoft.DataProtection/backupVaults/{cloud.vault}"
    wanted = m.FetchSecondaryRPsRequestParameters(
        source_region="local", source_backup_instance_id=f"{home}/backupInstances/pg1-inst"
    )
    points = cloud.backup.fetch_secondary_recovery_points
    found = until("the point", lambda: list(points.list(cloud.group, "local2", wanted)), 120)
    told = until("no lag", lambda: _caught_up(cloud.ask("GET", f"{home}/secondCopy")), 120)
    assert told["location"] == "local2"
    assert told["goneObjects"] == 0

    house.kill("store")
    shutil.rmtree(house.directory / "store")
    target, port = postgres.home / "restored", free_port()
    wish = restore_request(cloud, found[0].name, f"{target}?start=true&port={port}")
    crossing = m.CrossRegionRestoreRequestObject(
        restore_request_object=wish,
        cross_region_restore_details=m.CrossRegionRestoreDetails(
            source_region="local", source_backup_instance_id=wanted.source_backup_instance_id
        ),
    )
    instances = cloud.backup.backup_instances
    instances.begin_validate_cross_region_restore(cloud.group, "local2", crossing).result()
    with pytest.raises(HttpResponseError, match="not the second region"):
        instances.begin_trigger_cross_region_restore(cloud.group, "elsewhere", crossing).result()
    begun = instances.begin_trigger_cross_region_restore(cloud.group, "local2", crossing).result()
    restored = ended_job(cloud, begun)
    assert restored.properties.status == "Completed", restored.properties.error_details
    try:
        assert digest(f"host=127.0.0.1 port={port} user=postgres dbname=postgres") == before
    finally:
        scratch.stop(postgres.tools, target, "immediate")
    asked = m.CrossRegionRestoreJobsRequest(source_region="local", source_backup_vault_id=home)
    listed = cloud.backup.fetch_cross_region_restore_jobs.list(cloud.group, "local2", asked)
    (one,) = list(listed)
    assert one.properties.operation == "Restore"
    single = m.CrossRegionRestoreJobRequest(
        source_region="local", source_backup_vault_id=home, job_id=one.name
    )
    same = cloud.backup.fetch_cross_region_restore_job.get(cloud.group, "local2", single)
    assert same.name == one.name
    house.kill("serve")  # it would wait for an endpoint that is gone


def _caught_up(told: dict) -> dict | None:
    return told if told["lagSeconds"] is not None and not told["behindObjects"] else None
