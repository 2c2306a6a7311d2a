"""Azure's own SDK, unmodified, from an empty vault to a restored server."""

import json
import shutil
import sqlite3
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError
from azure.mgmt.dataprotection import models as m
from azure.mgmt.postgresqlflexibleservers import PostgreSQLManagementClient
from azure.mgmt.postgresqlflexibleservers import models as pg
from azure.storage.blob import BlobClient

from file_places import Place, Places, azurite
from journey.cloud import (
    LTR,
    READER,
    Cloud,
    a_request,
    default_template,
    digest,
    ended_job,
    fill,
    is_ready,
    protected,
    put_server,
    restore_request,
    validate,
)
from journey.world import House, Postgres, until
from oracle import Watched, check
from oracle.doors import Door

pytestmark = pytest.mark.journey
HELD = "Succeeded"


@pytest.fixture
def place() -> Iterator[Place]:
    """Somebody else's container."""
    with azurite() as service:
        yield Places("azurite", service).new()


def test_the_unmodified_sdk_protects_backs_up_and_restores(
    house: House, postgres: Postgres, place: Place
) -> None:
    cloud = Cloud(house)
    expected = fill(postgres)
    house.add_server("pg1", postgres.conninfo)
    cloud.resources.resource_groups.create_or_update(cloud.group, {"location": "local"})
    put_server(cloud, "pg1")

    vault = cloud.make_vault()
    cloud.backup.backup_policies.create_or_update(
        cloud.group, cloud.vault, "pol", default_template()
    )
    instance = protected(cloud, "pg1")
    request = m.ValidateForBackupRequest(backup_instance=instance)

    with pytest.raises(HttpResponseError) as refused:
        cloud.backup.backup_instances.begin_validate_for_backup(
            cloud.group, cloud.vault, request
        ).result()
    assert refused.value.error.code == "UserErrorMissingRequiredPermissions"
    assert cloud.scope("pg1") in refused.value.error.message
    assert "Long Term Retention Backup Role" in refused.value.error.message

    cloud.assign(cloud.scope("pg1"), LTR, vault.identity.principal_id)
    cloud.assign(cloud.scope(), READER, vault.identity.principal_id)
    until("the agent to see the server", lambda: is_ready(cloud, "pg1"))
    cloud.backup.backup_instances.begin_validate_for_backup(
        cloud.group, cloud.vault, request
    ).result()
    made = cloud.backup.backup_instances.begin_create_or_update(
        cloud.group, cloud.vault, "pg1-inst", m.BackupInstanceResource(properties=instance)
    ).result()
    assert made.properties.current_protection_state == "ProtectionConfigured"

    job = ended_job(cloud, cloud.back_up("pg1-inst"))
    assert job.properties.status == "Completed", job.properties.error_details
    tasks = job.properties.extended_info.sub_tasks
    assert [task.task_status for task in tasks] == ["Completed"] * 4
    assert job.properties.extended_info.data_transferred_in_bytes > 20_000_000

    points = cloud.points("pg1-inst")
    assert len(points) == 1
    assert points[0].properties.retention_tag_name == "Default"
    told = job.properties.extended_info
    assert told.additional_details["RetentionTag"] == "Default"
    made = told.target_recover_point
    assert made.recovery_point_id == points[0].name
    assert made.recovery_point_time == points[0].properties.recovery_point_time

    _leave_as_files(cloud, house, place, points[0].name)
    _export_jobs(cloud)
    _load_one_item(cloud, postgres, points[0].name)

    postgres.stop()
    shutil.rmtree(postgres.data)
    wish = restore_request(cloud, points[0].name, postgres.data)
    validate(cloud, wish)
    restored = ended_job(cloud, cloud.restore("pg1-inst", wish))
    assert restored.properties.status == "Completed", restored.properties.error_details
    postgres.start()
    assert digest(postgres.conninfo) == expected
    watched = house.watch()
    check(watched, "deep")
    _hold_delete_and_purge(cloud, watched, points[0].name)
    _take_long_term_backup(cloud, place)
    _check_forgotten(house, place)
    cloud.backup.backup_policies.delete(cloud.group, cloud.vault, "pol")
    cloud.resources.resource_groups.begin_delete(cloud.group).result()
    assert not cloud.resources.resource_groups.check_existence(cloud.group)


def _export_jobs(cloud: Cloud) -> None:
    """By a URL and a key, with the client that everybody has for blobs."""
    answers: list[Any] = []
    cloud.backup.export_jobs.begin_trigger(
        cloud.group, cloud.vault, raw_response_hook=lambda told: answers.append(told.http_response)
    ).result()
    operation = answers[0].headers["Location"].split("?")[0].rpartition("/")[2]
    told = cloud.backup.export_jobs_operation_result.get(cloud.group, cloud.vault, operation)
    blob = BlobClient.from_blob_url(told.blob_url + told.blob_sas_key)
    exported = json.loads(blob.download_blob().readall())
    listed = cloud.backup.jobs.list(cloud.group, cloud.vault)
    assert [job["id"] for job in exported] == [job.id for job in listed]


def _leave_as_files(cloud: Cloud, house: House, place: Place, point: str) -> None:
    """As Azure's own clients ask for it: a container, a prefix, and a signature in the URL."""
    details = m.TargetDetails(
        file_prefix="monday",
        restore_target_location_type="AzureBlobs",
        url=f"{place.url}?sp=r&sig=x",
    )
    target = m.RestoreFilesTargetInfo(
        recovery_option="FailIfExists", restore_location="local", target_details=details
    )
    wish = a_request(point, target)
    with pytest.raises(HttpResponseError) as refused:
        validate(cloud, wish)
    assert "written and read again" in refused.value.error.message
    details.url = f"{place.url}?{place.sas}"
    validate(cloud, wish)
    job = ended_job(cloud, cloud.restore("pg1-inst", wish))
    assert job.properties.status == "Completed", job.properties.error_details
    told = job.properties.extended_info
    assert told.recovery_destination == place.url
    assert told.additional_details["Restore File Prefix"] == "monday"
    assert place.get("monday_database_postgres.sql")[:5] == b"PGDMP"
    assert b"CREATE ROLE" in place.get("monday_roles.sql")
    with pytest.raises(HttpResponseError, match=r"holds monday_\S+ already"):
        validate(cloud, wish)
    _check_forgotten(house, place)


def _check_forgotten(house: House, place: Place) -> None:
    """What opened the container was never written down in the open, and is kept no longer."""
    kept = place.sas.rpartition("sig=")[2].encode()
    files = [path for path in house.directory.rglob("*") if path.is_file()]
    assert [path for path in files if kept in path.read_bytes()] == []
    with sqlite3.connect(house.directory / "serve" / "catalogue.sqlite") as catalogue:
        sealed = catalogue.execute("select sealed_signature from jobs").fetchall()
    assert set(sealed) == {(None,)}


def _take_long_term_backup(cloud: Cloud, place: Place) -> None:
    """As Azure's own backup service asks for it, of a server that nothing protects any more."""
    group, server = cloud.group, "pg1"
    until("the agent to see the server again", lambda: is_ready(cloud, server))
    settings = pg.BackupSettings(backup_name="friday")
    with PostgreSQLManagementClient(
        cloud.credential, cloud.found["subscription"], **cloud.options
    ) as client:
        backups = client.backups_long_term_retention
        asked = pg.LtrPreBackupRequest(backup_settings=settings)
        assert backups.check_prerequisites(group, server, asked).number_of_containers == 1
        target = pg.BackupStoreDetails(sas_uri_list=[f"{place.url}?{place.sas}"])
        begun = pg.BackupsLongTermRetentionRequest(backup_settings=settings, target_details=target)
        made = backups.begin_start(group, server, begun).result()
        assert (made.status, made.backup_name, made.percent_complete) == (
            "Succeeded",
            "friday",
            100,
        )
        assert [each.name for each in backups.list_by_server(group, server)] == ["friday"]
        assert backups.get(group, server, "FRIDAY").data_transferred_in_bytes > 1000
        with pytest.raises(ResourceExistsError, match="friday already"):
            backups.begin_start(group, server, begun)
    assert place.get("friday_database_postgres.sql")[:5] == b"PGDMP"
    assert b"CREATE ROLE" in place.get("friday_roles.sql")
    assert b"CREATE TABLE" in place.get("friday_schema.sql")
    assert "friday_manifest.json" in place.names()


def _hold_delete_and_purge(cloud: Cloud, watched: Watched, point: str) -> None:
    """From stopped to gone for good; what is held for a court outlasts every request."""
    place = (cloud.group, cloud.vault, "pg1-inst")
    instances, deleted = cloud.backup.backup_instances, cloud.backup.deleted_backup_instances
    instances.begin_stop_protection(*place).result()
    instances.begin_delete(*place).result()
    assert [each.name for each in deleted.list(cloud.group, cloud.vault)] == ["pg1-inst"]
    deleted.begin_undelete(*place).result()
    assert instances.get(*place).properties.current_protection_state == "ProtectionStopped"
    instances.begin_resume_protection(*place).result()
    holds = f"{instances.get(*place).id}/legalHolds"
    hold = f"{holds}/case-1"
    cloud.ask("PUT", hold, {"properties": {"recoveryPointId": point, "reason": "Smith"}})
    until("the hold", lambda: cloud.ask("GET", hold)["properties"]["provisioningState"] == HELD)
    with pytest.raises(ResourceExistsError, match="case-1"):
        instances.begin_delete(*place).result()
    check(watched, "fast")
    cloud.ask("DELETE", hold)
    until("the release", lambda: not cloud.ask("GET", holds)["value"])
    off = m.SoftDeleteSettings(state="Off")
    security = m.SecuritySettings(soft_delete_settings=off)
    properties = m.PatchBackupVaultInput(security_settings=security)
    wish = m.PatchResourceRequestInput(properties=properties)
    cloud.backup.backup_vaults.begin_update(cloud.group, cloud.vault, wish).result()
    instances.begin_delete(*place).result()
    until("the purge", lambda: not any(door.listed() for door in containers(watched)))
    until("the end", lambda: not list(deleted.list(cloud.group, cloud.vault)))
    check(watched, "fast")


def containers(watched: Watched) -> list[Door]:
    """Those of instances."""
    found = watched.containers()
    others = ("audit-", "catalogue-", "exports")
    return [door for name, door in found.items() if not name.startswith(others)]


def _load_one_item(cloud: Cloud, postgres: Postgres, point: str) -> None:
    """One table, by its path, under another name, into the server that it came from."""
    item = m.ItemPathBasedRestoreCriteria(
        item_path="postgres/public.entries",
        is_path_relative_to_backup_item=True,
        rename_to="public.entries_then",
    )
    target = m.ItemLevelRestoreTargetInfo(
        recovery_option="FailIfExists",
        restore_location="local",
        restore_criteria=[item],
        datasource_info=m.Datasource(resource_id=cloud.scope("pg1")),
    )
    wish = a_request(point, target)
    validate(cloud, wish)
    job = ended_job(cloud, cloud.restore("pg1-inst", wish))
    assert job.properties.status == "Completed", job.properties.error_details
    with psycopg.connect(postgres.conninfo, autocommit=True) as connection:
        query = "select count(*), md5(string_agg(t::text, '' order by t::text)) from {} t"
        was, now = (
            connection.execute(query.format(name)).fetchone()
            for name in ("entries_then", "entries")
        )
    assert was == now
