"""What opens a container comes with the request, and to the agent that fills it; nowhere else."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import httpx
import msgspec
import pytest

from arm_story import GUIDS, INSTANCE_ID, Story, add_point, assignment_body, assignment_id
from arm_world import VERSION, ArmWorld, server_id
from strongroom.catalog.points import recovery_points
from strongroom.catalog.protection import protection
from strongroom.catalog.tables.tables import audit, operations
from strongroom.catalog.tables.tables import jobs as jobs_table
from strongroom.catalog.work import agent_operations, agents, jobs
from strongroom.control.work.agents import heartbeat, lease_operation
from strongroom.model.errors import WrongKey
from strongroom.model.identities.access import LONG_TERM_RETENTION
from strongroom.model.work.job import JobStatus
from strongroom.model.work.operation import Heartbeat, Progress
from strongroom.workflows.backup.backup import back_up
from strongroom.workflows.basis.agent_work import operation_of
from strongroom.workflows.basis.means import Means
from strongroom.workflows.restore.restore import _order as order_of
from strongroom.workflows.restore.restore import restore

URL = "https://acct.blob.core.windows.net/out"
OURS = "https://store.example:10001/strongroom"
SECRET = "c2VjcmV0c2VjcmV0"
SAS = f"sv=2022-11-02&sp=rcw&sr=c&sig={SECRET}"
FACTS = {"version_number": 150005, "databases": {"shop": 1}}


@pytest.fixture(scope="module", autouse=True)
def points(world: ArmWorld, story: Story) -> None:
    add_point(world, 1, "Full", 1 << 20, FACTS)
    add_point(world, 2, "Logical", 1 << 20, FACTS)


def as_files(point: int, url: str = f"{URL}?{SAS}") -> dict[str, Any]:
    return {
        "objectType": "AzureBackupRecoveryPointBasedRestoreRequest",
        "recoveryPointId": f"{point:032x}",
        "restoreTargetInfo": {
            "objectType": "RestoreFilesTargetInfo",
            "recoveryOption": "FailIfExists",
            "targetDetails": {
                "url": url,
                "filePrefix": "mon",
                "restoreTargetLocationType": "AzureBlobs",
            },
        },
    }


def rows(world: ArmWorld, job_id: str) -> tuple[Mapping[str, Any], bytes]:
    """The job's row, and all that the catalogue says of it, of operations and in the audit."""
    with world.database.reading() as connection:
        job = connection.execute(jobs_table.select().where(jobs_table.c.id == job_id))
        row = job.mappings().one()
        others = [
            dict(each)
            for table in (operations, audit)
            for each in connection.execute(table.select()).mappings()
        ]
    told = repr({**row, "sealed_signature": bytes(row["sealed_signature"] or b"")}) + repr(others)
    return row, told.encode()


@pytest.mark.parametrize("point", [1, 2])
def test_a_signature_lies_sealed_goes_to_the_agent_and_is_forgotten(world, story, point):
    told = story.outcome(f"{INSTANCE_ID}/restore", as_files(point))
    job_id = told["properties"]["jobId"].rpartition("/")[2]
    row, words = rows(world, job_id)
    assert SECRET.encode() not in words
    with pytest.raises(WrongKey):
        world.control.open_signature("another job", row["sealed_signature"])

    with world.database.writing() as connection:
        agents.begin_session(connection, story.agent, "session")
        job = jobs.get(connection, job_id)
        found = protection.by_id(connection, job.instance_id)
        of = recovery_points.get(connection, job.instance_id, f"{point:032x}")
        operation = operation_of(job, found, *order_of(job, of))
        operation["created_at"] = world.clock.now()
        agent_operations.offer(connection, operation)
    lease = lease_operation(world.control, story.agent, "session")
    assert lease is not None
    assert lease.extract is not None
    assert (lease.extract.target_url, lease.extract.file_prefix) == (URL, "mon")
    assert SECRET.encode() not in msgspec.json.encode(lease.extract)
    assert lease.access is not None
    assert lease.access.sas["files"] == SAS
    assert renewed(world, story, lease.operation_id)["files"] == SAS

    with world.database.writing() as connection:
        jobs.end(connection, job_id, JobStatus.COMPLETED, world.clock.now())
    assert rows(world, job_id)[0]["sealed_signature"] is None
    assert "files" not in renewed(world, story, lease.operation_id)
    with world.database.writing() as connection:
        agent_operations.end(connection, lease.operation_id, "completed", result={})


def renewed(world: ArmWorld, story: Story, operation_id: str) -> dict[str, str]:
    beat = Heartbeat(epoch=1, progress=Progress(step="Writing"))
    reply = heartbeat(world.control, story.agent, operation_id, beat)
    assert reply.access is not None
    return reply.access.sas


def test_a_container_without_a_signature_is_refused_before_there_is_a_job(world, story):
    with world.database.reading() as connection:
        before = len(connection.execute(jobs_table.select()).all())
    for verb, body in (
        ("validateRestore", {"restoreRequestObject": as_files(1, URL)}),
        ("restore", as_files(1, URL)),
    ):
        answer = story.http.post(
            f"{INSTANCE_ID}/{verb}", params={"api-version": "2026-06-01"}, json=body
        )
        assert answer.status_code == 400
        assert "no signature" in answer.text
    with world.database.reading() as connection:
        assert len(connection.execute(jobs_table.select()).all()) == before


def with_our_storage(
    world: ArmWorld, story: Story, asked: Iterable[tuple[str, Any]]
) -> list[httpx.Response]:
    """The answers of an installation whose own storage account has the address OURS."""
    own = dataclasses.replace(world.control.own_storage, url=OURS)
    world.app.state.control = dataclasses.replace(world.control, own_storage=own)
    try:
        return [story.http.post(url, params=VERSION, json=body) for url, body in asked]
    finally:
        world.app.state.control = world.control


def test_our_own_container_without_a_signature_needs_a_role_that_is_named(world, story):
    body = as_files(1, f"{OURS}/out")
    asked = [(f"{INSTANCE_ID}/validateRestore", {"restoreRequestObject": body})]
    asked.append((f"{INSTANCE_ID}/restore", body))
    for answer in with_our_storage(world, story, asked):
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (400, "UserErrorMSIMissingPermissions")
        (command,) = error["additionalInfo"][0]["info"]["recommendedAction"]
        assert f"az role assignment create --assignee-object-id {story.identity}" in command
        assert '--role "Storage Blob Data Contributor" --scope /subscriptions/' in command
        assert command.endswith("/blobServices/default/containers/out")


def test_a_users_delegation_at_our_own_container_is_told_what_opens_it(world, story):
    """The storage endpoint trusts no token that such a key hangs on; one at Azure's is taken."""
    delegated = f"{SAS}&skoid={GUIDS[0]}&sktid={GUIDS[1]}&sks=b&ske=2999-01-01T00%3A00%3A00Z"
    body = as_files(1, f"{OURS}/out?{delegated}")
    prompt = {"targetDetails": {"sasUriList": [f"{OURS}/out?{delegated}"]}}
    asked = [
        (f"{INSTANCE_ID}/validateRestore", {"restoreRequestObject": body}),
        (f"{INSTANCE_ID}/restore", body),
        (f"{server_id()}/startLtrBackup", {**prompt, "backupSettings": {"backupName": "b1"}}),
    ]
    for answer in with_our_storage(world, story, asked):
        info = answer.json()["error"]["additionalInfo"][0]["info"]
        assert (answer.status_code, "user-delegation" in info["message"]) == (400, True)
        assert "Storage Blob Data Contributor" in info["recommendedAction"][0]
        assert SECRET not in answer.text
    told = story.outcome(f"{INSTANCE_ID}/restore", as_files(1, f"{URL}?{delegated}"))
    assert told["status"] == "Succeeded"


# The vault's identity, which Azure asks for a role at the target too

INTO = {
    "a new directory": (1, {"targetDirectory": "/srv/new"}),
    "in place": (1, {"inPlace": True, "targetDirectory": "/srv/data"}),
    "files in a directory": (1, {"targetDirectory": "/srv/out", "part": {"database": ""}}),
    "a table into the server": (
        1,
        {"part": {"database": "shop", "table": "t", "rename": "u", "targetServer": "pg1"}},
    ),
    "a load": (2, {"load": {"targetServer": "pg1", "databases": {"shop": "other"}}}),
}


def wish(point: int, ours: dict[str, Any]) -> dict[str, Any]:
    target = {"objectType": "RestoreTargetInfo", "strongroom": ours}
    return {"recoveryPointId": f"{point:032x}", "restoreTargetInfo": target}


@pytest.fixture
def robbed(story: Story) -> Iterator[Callable[[], None]]:
    """Takes the role at the server away; it comes back behind the test."""
    role = assignment_id(server_id(), GUIDS[0])
    yield lambda: story.http.delete(role, params=VERSION).raise_for_status()
    story.put(role, assignment_body(LONG_TERM_RETENTION.id, story.identity))


def test_no_kind_of_restore_reaches_a_server_where_the_vaults_identity_has_no_role(
    world: ArmWorld, story: Story, robbed: Callable[[], None]
) -> None:
    world.agent_says(story.agent, "main", databases={"shop": 1}, versionNumber=180001)
    for point, ours in INTO.values():
        story.outcome(
            f"{INSTANCE_ID}/validateRestore", {"restoreRequestObject": wish(point, ours)}
        )
    robbed()
    for point, ours in INTO.values():
        answer = story.http.post(f"{INSTANCE_ID}/restore", params=VERSION, json=wish(point, ours))
        error = answer.json()["error"]
        assert error["code"] == "UserErrorMissingRequiredPermissions"
        named = (LONG_TERM_RETENTION.name, server_id(), story.identity)
        assert [word for word in named if word not in error["message"]] == []
        (action,) = error["additionalInfo"][0]["info"]["recommendedAction"]
        assert action.startswith("az role assignment create")
        assert [word for word in named if word not in action] == []
    story.outcome(f"{INSTANCE_ID}/restore", as_files(1))  # its signature opens the container


class AtOnce:
    """A story whose steps are done as they are told."""

    def step(self, name: str, function: Callable[..., Any], *args: Any) -> Any:
        return function(*args)


def test_a_role_that_went_since_the_restore_was_asked_for_ends_it_by_name(
    world: ArmWorld, story: Story, robbed: Callable[[], None]
) -> None:
    told = story.outcome(f"{INSTANCE_ID}/restore", wish(*INTO["a load"]))
    job_id = told["properties"]["jobId"].rpartition("/")[2]
    robbed()
    means: Any = Means(control=world.control, keyring=None, storage=None)  # type: ignore[arg-type]
    story_at_once: Any = AtOnce()
    restore(means, story_at_once, job_id)
    row, _ = rows(world, job_id)
    assert row["status"] == "Failed"
    assert row["error"]["code"] == "UserErrorMissingRequiredPermissions"
    assert LONG_TERM_RETENTION.name in row["error"]["message"]


def test_a_backup_that_begins_without_its_roles_fails_at_the_server(
    world: ArmWorld, story: Story, robbed: Callable[[], None]
) -> None:
    asked = {"backupRuleOptions": {"ruleName": "BackupWeekly"}}
    told = story.outcome(f"{INSTANCE_ID}/backup", asked)["properties"]["jobId"]
    robbed()
    means: Any = Means(control=world.control, keyring=None, storage=None)  # type: ignore[arg-type]
    story_at_once: Any = AtOnce()
    back_up(means, story_at_once, told.rpartition("/")[2])
    (failure,) = story.get(told)["properties"]["errorDetails"]
    assert failure["code"] == "PostgreSQLFlexOperationFailedUserError"
    assert failure["innerError"]["code"] == "AuthorizationFailed"
    assert failure["recommendedAction"][0].startswith("az role assignment create")
