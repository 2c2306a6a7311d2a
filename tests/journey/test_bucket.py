"""A store whose blobs lie in a bucket of S3: backup, lock, a lost host, restore, rescue."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.mgmt.dataprotection import models as m
from botocore.exceptions import ClientError

from back_end_world import back_ends
from journey.cloud import Cloud, digest, ended_job, fill, protect, restore_request
from journey.world import House, Postgres, until
from ports import free_port
from strongroom.postgres.server import scratch
from strongroom.storage.basis.settings import BackEndSettings

pytestmark = [pytest.mark.postgres, pytest.mark.journey]
SECRETS = {"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "told-to-nobody"}


class Bucket:
    """As its owner sees it, with the account's ordinary keys."""

    def __init__(self, client: Any, place: BackEndSettings) -> None:
        self.client = client
        self.place = place

    def versions(self) -> list[dict[str, str]]:
        name = self.place.container
        found = self.client.list_object_versions(Bucket=name).get("Versions", [])
        return [
            {"Bucket": name, "Key": each["Key"], "VersionId": each["VersionId"]}
            for each in found
            if any(part in each["Key"] for part in ("/g/", "/p/", "/k/"))
        ]

    def kept_until(self) -> datetime:
        """The earliest date of all that is kept for good; long ago where something is not."""
        heads = [self.client.head_object(**each) for each in self.versions()]
        return min(
            each["ObjectLockRetainUntilDate"]
            if each.get("ObjectLockMode") == "COMPLIANCE"
            else datetime(2000, 1, 1, tzinfo=UTC)
            for each in heads
        )


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    with back_ends("s3") as places:
        yield Bucket(places.client, places.new())


@pytest.fixture
def house(bucket: Bucket) -> Iterator[House]:
    found = House()
    try:
        lines = [f'url = "{bucket.place.url}"', f'endpoint = "{bucket.place.endpoint}"']
        lines += ["[secrets]", *(f'{name} = "{value}"' for name, value in SECRETS.items())]
        lay_out(found.directory / "store", "\n".join(lines))
        found.start_all()
        yield found
    finally:
        found.close()


def lay_out(home: Path, back_end: str) -> None:
    home.mkdir(mode=0o700)
    file = home / "back-end.toml"
    file.write_text(back_end)
    file.chmod(0o600)


def test_what_a_locked_vault_keeps_in_a_bucket_the_buckets_keys_cannot_delete(
    house: House, bucket: Bucket, postgres: Postgres
) -> None:
    cloud = Cloud(house)
    before = fill(postgres)
    protect(cloud, house, "pg1", postgres.conninfo)
    locked = m.SecuritySettings(immutability_settings=m.ImmutabilitySettings(state="Locked"))
    patch = m.PatchResourceRequestInput(
        properties=m.PatchBackupVaultInput(security_settings=locked)
    )
    cloud.backup.backup_vaults.begin_update(cloud.group, cloud.vault, patch).result()
    job = ended_job(cloud, cloud.back_up("pg1-inst"))
    assert job.properties.status == "Completed", job.properties.error_details
    months = datetime.now(UTC) + timedelta(days=85)
    until("the provider to keep all of it", lambda: bucket.kept_until() > months)
    versions = bucket.versions()
    assert len(versions) > 4
    for version in versions:
        with pytest.raises(ClientError, match="AccessDenied"):
            bucket.client.delete_object(**version, BypassGovernanceRetention=True)
        hidden = {name: version[name] for name in ("Bucket", "Key")}
        bucket.client.delete_object(**hidden)  # a delete marker hides it from everybody but us

    house.kill("store")  # and its host is lost, with its ledger
    home = house.directory / "store"
    told = (home / "back-end.toml").read_text()
    shutil.rmtree(home)
    lay_out(home, f"adopt = true\n{told}")
    house.start("store")
    house.wait_ready("store")
    (point,) = cloud.points("pg1-inst")
    target, port = postgres.home / "restored", free_port()
    wish = restore_request(cloud, point.name, Path(f"{target}?start=true&port={port}"))
    restored = ended_job(cloud, cloud.restore("pg1-inst", wish))
    assert restored.properties.status == "Completed", restored.properties.error_details
    try:
        assert digest(f"host=127.0.0.1 port={port} user=postgres dbname=postgres") == before
    finally:
        scratch.stop(postgres.tools, target, "immediate")
    assert SECRETS["AWS_SECRET_ACCESS_KEY"] not in house.log("store")
    house.kill("serve")  # asked to stop it would wait for its clients
    assert rescued(house, bucket, point.name).joinpath("PG_VERSION").read_text() == "15\n"


def rescued(house: House, bucket: Bucket, point: str) -> Path:
    """From a copy of the bucket and the recovery key alone."""
    copy, target = house.directory / "copy", house.directory / "rescued"
    name = bucket.place.container
    for each in bucket.client.list_object_versions(Bucket=name)["Versions"]:
        file = copy / each["Key"].removeprefix(bucket.place.prefix)
        file.parent.mkdir(parents=True, exist_ok=True)
        at = {"Bucket": name, "Key": each["Key"], "VersionId": each["VersionId"]}
        file.write_bytes(bucket.client.get_object(**at)["Body"].read())
    words = ["--storage", str(copy), "--key", str(house.directory / "recovery.key")]
    words += ["--point", point, "--to", str(target)]
    command = [sys.executable, "-m", "strongroom", "rescue", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target
