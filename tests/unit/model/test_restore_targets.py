"""Azure's kinds of restore targets, as its clients send them."""

from typing import Any

import msgspec
import pytest
from whenever import Instant

from strongroom.model.errors import Invalid
from strongroom.model.restore.restore_request import RestoreRequest, read_request

NOW = Instant.from_utc(2026, 11, 26)
URL = "https://acct.blob.core.windows.net/out"
SERVER = "/subscriptions/s/resourceGroups/g/providers/Microsoft.DBforPostgreSQL/flexibleServers/p"


def read(**target: Any) -> RestoreRequest:
    body = {
        "recoveryPointId": "0" * 32,
        "restoreTargetInfo": {"recoveryOption": "FailIfExists", **target},
    }
    return read_request(body, NOW)


def files(url: str, **more: Any) -> RestoreRequest:
    details = {"url": url, "filePrefix": "mon", "restoreTargetLocationType": "AzureBlobs"}
    kind = "RestoreFilesTargetInfo"
    return read(objectType=kind, targetDetails={**details, **more.pop("details", {})}, **more)


def item(*criteria: dict[str, Any], server: str = SERVER) -> RestoreRequest:
    kind = "ItemLevelRestoreTargetInfo"
    return read(
        objectType=kind, restoreCriteria=list(criteria), datasourceInfo={"resourceID": server}
    )


def by_path(path: str, **more: Any) -> dict[str, Any]:
    return {"objectType": "ItemPathBasedRestoreCriteria", "itemPath": path, **more}


def test_files_go_to_a_container_whose_signature_is_not_kept():
    asked = files(f"{URL}?sp=rw&sig=secret")
    assert asked.part is not None
    assert (asked.part.target_url, asked.part.file_prefix) == (URL, "mon")
    assert asked.signature is not None
    assert asked.signature.query == "sp=rw&sig=secret"
    assert b"secret" not in msgspec.json.encode({**msgspec.to_builtins(asked), "signature": 0})
    assert "secret" not in repr(asked)


def test_files_go_to_a_bucket_or_a_directory_too():
    ours = {"part": {"database": "shop"}, "endpoint": "https://s3.example"}
    asked = files("s3://bucket/x", strongroom=ours, details={"restoreTargetLocationType": ""})
    assert asked.part is not None
    assert (asked.part.target_url, asked.part.target_endpoint) == (
        "s3://bucket/x",
        ours["endpoint"],
    )
    assert asked.part.database == "shop"
    assert asked.signature is None
    asked = files("file:///srv/out%20here")
    assert (asked.target_directory, asked.signature) == ("/srv/out here", None)


@pytest.mark.parametrize(
    ("path", "database", "table"),
    [("shop", "shop", ""), ("/shop/", "shop", ""), ("shop/sales.item", "shop", "sales.item")],
)
def test_an_item_is_a_database_or_a_table(path, database, table):
    asked = item(by_path(path, renameTo="then", isPathRelativeToBackupItem=True))
    assert asked.part is not None
    assert (asked.part.database, asked.part.table) == (database, table)
    assert (asked.part.rename, asked.part.target_server) == ("then", SERVER)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: files(URL), "no signature"),
        (lambda: files(""), "names no place"),
        (lambda: files(URL, details={"restoreTargetLocationType": "AzureFiles"}), "AzureFiles"),
        (lambda: files(f"{URL}?sig=x&sp=rw", details={"filePrefix": "a/b"}), "no slash"),
        (lambda: read(objectType="KubernetesClusterRestoreTargetInfo"), "is not offered"),
        (lambda: read(objectType="RestoreTargetInfo", recoveryOption="Overwrite"), "Overwrite"),
        (item, "one item"),
        (lambda: item(by_path("a"), by_path("b")), "one item"),
        (lambda: item(by_path("")), "no path"),
        (lambda: item(by_path("a", subItemPathPrefix=["x"])), "by its path alone"),
        (lambda: item({"objectType": "KubernetesPVRestoreCriteria"}), "by its path alone"),
        (lambda: item(by_path("a"), server=""), "no server"),
        (lambda: item(by_path("a/b.c.d")), "not the name of a table"),
    ],
)
def test_what_is_not_offered_is_refused(call, told):
    with pytest.raises(Invalid, match=told):
        call()


def test_a_server_by_its_id_is_what_a_point_is_loaded_into() -> None:
    source = {"resourceID": SERVER, "resourceUri": SERVER, "resourceName": "p"}  # as `az` says it
    found = read(objectType="RestoreTargetInfo", datasourceInfo=source)
    assert found.load is not None
    assert (found.load.target_server, found.load.databases) == (SERVER, {})
    at = read(
        objectType="RestoreTargetInfo",
        datasourceInfo={**source, "resourceUri": "file:///srv/new?start=true&port=5433"},
    )
    assert (at.load, at.target_directory, at.start, at.port) == (None, "/srv/new", True, 5433)


@pytest.mark.parametrize(
    ("stores", "more"),
    [
        (("", None, "VaultStore", "vaultstore"), {}),
        (("VaultStore", "OperationalStore"), {"recoveryPointTime": "2026-11-25T00:00:00Z"}),
    ],
)
def test_a_restore_reads_the_stores_that_hold_something_and_refuses_the_others(stores, more):
    target = {"objectType": "RestoreTargetInfo", "strongroom": {"targetDirectory": "/srv/new"}}
    body = {"recoveryPointId": "0" * 32, "restoreTargetInfo": target, **more}
    for store in stores:
        read_request({**body, "sourceDataStoreType": store}, NOW)
    every = {"VaultStore", "OperationalStore", "ArchiveStore", "SnapshotStore", "nowhere", 7}
    for store in every - set(stores):
        with pytest.raises(Invalid, match="holds nothing that this could restore"):
            read_request({**body, "SourceDataStoreType": store}, NOW)
