"""The same calls by the newest SDK and by an old one, sync and async: the same comes of them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import fetch_older_sdk
from arm_story import Story, add_point
from arm_world import APP, GROUP, SECRET, SUBSCRIPTION, TENANT, ArmWorld, server_id

FLOW = Path(__file__).parents[2] / "sdk_flow.py"
NEWEST, OLDER = "2.2.0", "1.4.0"
EXPECTED = {
    "vault": "Succeeded",
    "rules": ["BackupWeekly", "Default"],
    "intervals": ["R/2021-08-15T06:30:00+00:00/P1W"],
    "refused": "UserErrorMissingRequiredPermissions",
    "validated": "OperationJobExtendedInfo",
    "state": "ProtectionConfigured",
    "listed": ["one"],
    "job": ["Backup", "InProgress", True],
    "jobs": 1,
    "point": "AzureBackupDiscreteRecoveryPoint",
    "restore": ["Restore", "InProgress"],
    "states": [
        "ProtectionStopped",
        "ProtectionConfigured",
        "BackupSchedulesSuspended",
        "ProtectionConfigured",
    ],
    "gone": 404,
    "deleted": ["SoftDeleted"],
    "back": "ProtectionStopped",
}


@pytest.fixture(scope="module")
def ready(world: ArmWorld, story: Story) -> Story:
    add_point(world, 1, "Logical", 1 << 20, {"version_number": 160004})
    return story


@pytest.mark.parametrize("way", ["sync", "async"])
@pytest.mark.parametrize("version", [NEWEST, OLDER])
def test_the_flow_is_the_same(ready: Story, version: str, way: str) -> None:
    server = f"pg-{version.replace('.', '')}-{way}"
    ready.put(server_id(server), {"properties": {"strongroom": {"agentServer": server}}})
    ready.world.agent_says(ready.agent, server)
    where = [str(fetch_older_sdk.fetch())] if version == OLDER else []
    told = subprocess.run(
        [sys.executable, str(FLOW), way],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(where),
            "ARM_URL": ready.world.url,
            "ARM_SUBSCRIPTION_ID": SUBSCRIPTION,
            "AZURE_TENANT_ID": TENANT,
            "AZURE_CLIENT_ID": APP,
            "AZURE_CLIENT_SECRET": SECRET,
            "REQUESTS_CA_BUNDLE": ready.world.ca,
            "GROUP": GROUP,
            "SERVER": server,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr[-3000:]
    assert json.loads(told.stdout) == {"version": version, **EXPECTED}
