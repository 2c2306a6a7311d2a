"""Azure's own SDK, unmodified, from an empty vault to a restored server."""

import shutil

import pytest
from azure.core.exceptions import HttpResponseError
from azure.mgmt.dataprotection import models as m

from journey.cloud import (
    LTR,
    READER,
    Cloud,
    default_template,
    digest,
    ended_job,
    fill,
    is_ready,
    protected,
    put_server,
    restore_request,
)
from journey.world import House, Postgres, until
from oracle import check

pytestmark = pytest.mark.journey


def test_the_unmodified_sdk_protects_backs_up_and_restores(
    house: House, postgres: Postgres
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

    postgres.stop()
    shutil.rmtree(postgres.data)
    wish = restore_request(cloud, points[0].name, postgres.data)
    cloud.backup.backup_instances.begin_validate_for_restore(
        cloud.group,
        cloud.vault,
        "pg1-inst",
        m.ValidateRestoreRequestObject(restore_request_object=wish),
    ).result()
    restored = ended_job(cloud, cloud.restore("pg1-inst", wish))
    assert restored.properties.status == "Completed", restored.properties.error_details
    postgres.start()
    assert digest(postgres.conninfo) == expected
    check(house.watch(), "deep")
