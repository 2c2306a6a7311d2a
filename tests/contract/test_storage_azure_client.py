"""Microsoft's own azure-storage-blob, unmodified, against the storage endpoint."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.storage.blob import (
    AccessPolicy,
    BlobBlock,
    BlobClient,
    BlobSasPermissions,
    ContainerClient,
    ContainerSasPermissions,
    ContentSettings,
    generate_blob_sas,
    generate_container_sas,
)

from store_world import ACCOUNT, KEY_TEXT, StoreWorld, a_sas, a_store_world, soon

MIB = 1 << 20


@pytest.fixture(scope="module")
def world() -> Iterator[StoreWorld]:
    with a_store_world() as world:
        yield world


@pytest.fixture
def container(world: StoreWorld, request: pytest.FixtureRequest) -> ContainerClient:
    return world.azure().create_container(f"c-{abs(hash(request.node.name))}")


def in_small_blocks(world: StoreWorld, container: ContainerClient) -> ContainerClient:
    client = world.azure(
        max_single_put_size=MIB,
        max_block_size=MIB,
        max_single_get_size=MIB,
        max_chunk_get_size=MIB,
    )
    return client.get_container_client(container.container_name)


def test_a_small_blob_comes_back_with_its_facts(container: ContainerClient) -> None:
    client = container.get_blob_client("g/1/a b+ü&<.pack")
    answer = client.upload_blob(
        b"bytes",
        metadata={"kind": "pack"},
        content_settings=ContentSettings(content_type="application/x-pack", cache_control="no"),
    )
    found = client.download_blob()
    assert found.readall() == b"bytes"
    facts = client.get_blob_properties()
    assert facts.etag == answer["etag"] == found.properties.etag
    assert facts.size == 5
    assert facts.metadata == {"kind": "pack"}
    assert facts.content_settings.content_type == "application/x-pack"
    assert facts.content_settings.cache_control == "no"
    assert facts.blob_type == "BlockBlob"
    assert facts.last_modified == answer["last_modified"] == facts.creation_time


def test_a_large_blob_goes_up_in_blocks_and_comes_down_in_ranges_side_by_side(
    world: StoreWorld, container: ContainerClient
) -> None:
    client = in_small_blocks(world, container)
    data = os.urandom(9 * MIB + 17)
    client.upload_blob("big", data, max_concurrency=4)
    assert client.download_blob("big", max_concurrency=4).readall() == data
    assert (
        client.download_blob("big", offset=MIB - 5, length=10).readall() == data[MIB - 5 : MIB + 5]
    )
    assert world.file(container.container_name, "big").read_bytes() == data


def test_a_stream_of_unknown_length_goes_up(world: StoreWorld, container: ContainerClient) -> None:
    client = in_small_blocks(world, container)
    client.upload_blob("stream", (b"x" * 300_000 for _ in range(10)))
    assert client.get_blob_client("stream").get_blob_properties().size == 3_000_000


def test_an_empty_blob_is_a_blob(container: ContainerClient) -> None:
    container.upload_blob("empty", b"")
    assert container.download_blob("empty").readall() == b""


@pytest.mark.parametrize("overwrite", [False, True])
def test_nothing_is_overwritten_whatever_the_client_asks_for(
    container: ContainerClient, *, overwrite: bool
) -> None:
    container.upload_blob("name", b"first")
    with pytest.raises(ResourceExistsError) as caught:
        container.upload_blob("name", b"second", overwrite=overwrite)
    assert caught.value.error_code == "BlobAlreadyExists"
    assert container.download_blob("name").readall() == b"first"


def test_nothing_is_overwritten_by_blocks(world: StoreWorld, container: ContainerClient) -> None:
    container.upload_blob("name", b"first")
    with pytest.raises(ResourceExistsError):
        in_small_blocks(world, container).upload_blob("name", b"x" * 3 * MIB, overwrite=True)
    assert container.download_blob("name").readall() == b"first"


def test_blocks_are_committed_in_the_order_of_the_list(container: ContainerClient) -> None:
    client = container.get_blob_client("blocks")
    for block in ("a", "b", "c", "unused"):
        client.stage_block(block, block.encode() * 3)
    client.stage_block("b", b"BB")
    client.commit_block_list([BlobBlock("c"), BlobBlock("b"), BlobBlock("c")])
    assert client.download_blob().readall() == b"cccBBccc"


def test_digests_that_the_client_sends_are_checked(container: ContainerClient) -> None:
    client = container.get_blob_client("checked")
    client.upload_blob(b"bytes" * 1000, validate_content=True)
    assert client.download_blob(validate_content=True).readall() == b"bytes" * 1000


def test_a_listing_walks_pages_prefixes_and_metadata(container: ContainerClient) -> None:
    names = [f"g/{n}/{m}" for n in range(3) for m in range(3)] + ["p/x", "z", "ü/1"]
    for name in names:
        container.upload_blob(name, b"x", metadata={"n": "1"})
    pages = list(container.list_blobs(results_per_page=4).by_page())
    assert [blob.name for page in pages for blob in page] == names
    assert len(pages) == 3
    assert [blob.name for blob in container.list_blobs(name_starts_with="g/1/")] == names[3:6]
    assert {item.name for item in container.walk_blobs()} == {"g/", "p/", "z", "ü/"}
    assert [i.name for i in container.walk_blobs("g/", results_per_page=1)] == [
        "g/0/",
        "g/1/",
        "g/2/",
    ]
    assert next(iter(container.list_blobs(include=["metadata"]))).metadata == {"n": "1"}


def test_ten_thousand_names_are_listed_once_each_in_order(
    container: ContainerClient, world: StoreWorld
) -> None:
    _fill(world, container.container_name, 10_000)
    names = [blob.name for blob in container.list_blobs(results_per_page=999)]
    assert names == sorted(f"g/{n % 7}/{n:05}" for n in range(10_000))
    assert [each.name for each in container.walk_blobs("g/")] == [f"g/{n}/" for n in range(7)]
    assert len(list(container.list_blob_names(name_starts_with="g/3/"))) == 1429


def test_containers_are_made_looked_at_listed_and_removed(world: StoreWorld) -> None:
    service = world.azure()
    service.create_container("made-1", metadata={"a": "b"})
    with pytest.raises(ResourceExistsError) as caught:
        service.create_container("made-1")
    assert caught.value.error_code == "ContainerAlreadyExists"
    service.create_container("made-2")
    container = service.get_container_client("made-1")
    assert container.exists()
    assert container.get_container_properties().metadata == {"a": "b"}
    listed = service.list_containers(name_starts_with="made-", results_per_page=1)
    assert [each.name for each in listed] == ["made-1", "made-2"]
    container.delete_container()
    assert not container.exists()
    with pytest.raises(ResourceNotFoundError) as missing:
        container.upload_blob("x", b"x")
    assert missing.value.error_code == "ContainerNotFound"


def test_a_container_that_holds_blobs_stays(container: ContainerClient) -> None:
    container.upload_blob("x", b"x")
    with pytest.raises(HttpResponseError) as caught:
        container.delete_container()
    assert caught.value.error_code == "ContainerNotEmpty"
    container.delete_blob("x")
    container.delete_container()


def test_a_deleted_blob_is_gone(container: ContainerClient, world: StoreWorld) -> None:
    client = container.get_blob_client("g/1/x")
    client.upload_blob(b"x")
    client.delete_blob()
    assert not client.exists()
    assert not world.file(container.container_name, "g").exists()
    with pytest.raises(ResourceNotFoundError) as caught:
        client.delete_blob()
    assert caught.value.error_code == "BlobNotFound"


def test_conditions_are_kept(container: ContainerClient) -> None:
    client = container.get_blob_client("x")
    etag = client.upload_blob(b"x")["etag"]
    client.download_blob(etag=etag, match_condition=MatchConditions.IfNotModified).readall()
    with pytest.raises(ResourceModifiedError):
        client.download_blob(etag='"0x0"', match_condition=MatchConditions.IfNotModified)
    with pytest.raises(ResourceModifiedError):
        client.delete_blob(etag='"0x0"', match_condition=MatchConditions.IfNotModified)
    with pytest.raises(HttpResponseError) as caught:
        client.download_blob(etag=etag, match_condition=MatchConditions.IfModified)
    assert caught.value.status_code == 304


def test_azures_own_generators_make_sas_that_the_store_takes(
    world: StoreWorld, container: ContainerClient
) -> None:
    name = container.container_name
    writer = generate_blob_sas(
        ACCOUNT, name, "g/1", account_key=KEY_TEXT, is_directory=True, expiry=soon(),
        permission=BlobSasPermissions(create=True), start=soon(-1), protocol="https,http",
    )  # fmt: skip
    client = world.azure_by_sas(name, writer, max_single_put_size=MIB, max_block_size=MIB)
    client.upload_blob("g/1/pack", b"pack")
    client.upload_blob("g/1/large", b"x" * 3 * MIB)
    with pytest.raises(ResourceExistsError):
        client.upload_blob("g/1/pack", b"other", overwrite=True)
    with pytest.raises(ClientAuthenticationError) as refused:
        client.upload_blob("g/2/pack", b"pack")
    assert refused.value.error_code == "AuthenticationFailed"
    with pytest.raises(HttpResponseError) as mismatch:
        client.download_blob("g/1/pack")
    assert mismatch.value.error_code == "AuthorizationPermissionMismatch"

    reader = generate_container_sas(
        ACCOUNT, name, account_key=KEY_TEXT, expiry=soon(),
        permission=ContainerSasPermissions(read=True, list=True),
    )  # fmt: skip
    client = world.azure_by_sas(name, reader)
    assert client.download_blob("g/1/pack").readall() == b"pack"
    assert [blob.name for blob in client.list_blobs()] == ["g/1/large", "g/1/pack"]
    with pytest.raises(HttpResponseError):
        client.delete_blob("g/1/pack")

    one = generate_blob_sas(
        ACCOUNT, name, "g/1/pack", account_key=KEY_TEXT, expiry=soon(),
        permission=BlobSasPermissions(read=True, delete=True), content_type="text/x-chosen",
        ip="127.0.0.1",
    )  # fmt: skip
    url = f"{world.url}/{name}/g/1/pack?{one}"
    with BlobClient.from_blob_url(url) as blob:
        assert blob.get_blob_properties().content_settings.content_type == "text/x-chosen"
        blob.delete_blob()


def test_a_wrong_account_key_opens_nothing(world: StoreWorld) -> None:
    client = ContainerClient(world.url, "any", credential="A" * 88, retry_total=0)
    with pytest.raises(ClientAuthenticationError) as caught:
        client.upload_blob("x", b"x")
    assert caught.value.error_code == "AuthenticationFailed"


def _fill(world: StoreWorld, container: str, count: int) -> None:
    # Straight into the ledger: this test is about listing, not about ten thousand fsyncs.
    ledger = world.store._ledger
    row = "('{}', 'g/{}/{:05}', 1, x'{}', NULL, '{{}}', 0, NULL, 'live', 0, '', '')"
    rows = ",".join(row.format(container, n % 7, n, "00" * 32) for n in range(count))
    with ledger.writing() as connection:
        connection.execute(f"INSERT INTO blobs VALUES {rows}")


def policy_of(letters: str, expiry: datetime | None) -> AccessPolicy:
    return AccessPolicy(permission=letters, expiry=expiry)


def by_policy(world: StoreWorld, name: str, policy_id: str, **said: object) -> ContainerClient:
    sas = generate_container_sas(ACCOUNT, name, KEY_TEXT, policy_id=policy_id, **said)
    return world.azure_by_sas(name, sas)


def test_stored_access_policies_are_set_read_and_withdrawn_as_at_azure(
    world: StoreWorld, container: ContainerClient
) -> None:
    name = container.container_name
    start = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    full = AccessPolicy(ContainerSasPermissions(read=True, create=True), soon(), start)
    container.set_container_access_policy({"writer & co": full, "empty": None})
    found = container.get_container_access_policy()
    assert found["public_access"] is None
    told = {each.id: each.access_policy for each in found["signed_identifiers"]}
    assert set(told) == {"writer & co", "empty"}
    assert told["writer & co"].permission == "rc"
    assert str(told["writer & co"].start).startswith("2026-01-02T03:04:05")
    writer = by_policy(world, name, "writer & co")
    writer.upload_blob("x", b"x")
    assert writer.download_blob("x").readall() == b"x"
    with pytest.raises(HttpResponseError) as refused:
        writer.delete_blob("x")
    assert refused.value.error_code == "AuthorizationPermissionMismatch"
    container.set_container_access_policy({"empty": None})
    with pytest.raises(ClientAuthenticationError) as withdrawn:
        writer.download_blob("x")
    assert withdrawn.value.error_code == "AuthenticationFailed"
    container.set_container_access_policy({})
    assert container.get_container_access_policy()["signed_identifiers"] == []


def test_a_policy_that_is_changed_changes_its_tokens(
    world: StoreWorld, container: ContainerClient
) -> None:
    name = container.container_name
    client = by_policy(world, name, "one")
    for policy, works in (
        (policy_of("c", soon()), True),
        (policy_of("r", soon()), False),
        (policy_of("c", soon(-1)), False),
        (policy_of("c", soon(60)), True),
    ):
        container.set_container_access_policy({"one": policy})
        if works:
            client.upload_blob(os.urandom(4).hex(), b"x")
        else:
            with pytest.raises(HttpResponseError, match="Auth"):
                client.upload_blob(os.urandom(4).hex(), b"x")


def test_a_thing_is_said_by_the_policy_or_by_the_token_and_once(
    world: StoreWorld, container: ContainerClient
) -> None:
    name = container.container_name
    container.set_container_access_policy(
        {"all": policy_of("c", soon()), "letters": policy_of("c", None), "none": None}
    )
    letters, expiry = {"permission": "c"}, {"expiry": soon()}
    for policy_id, said, works in (
        ("all", {}, True),
        ("all", letters, False),
        ("all", expiry, False),
        ("letters", expiry, True),
        ("letters", {}, False),
        ("none", letters | expiry, True),
        ("none", letters, False),
        ("none", expiry, False),
        ("unknown", letters | expiry, False),
    ):
        client = by_policy(world, name, policy_id, **said)
        if works:
            client.upload_blob(os.urandom(4).hex(), b"x")
        else:
            with pytest.raises(ClientAuthenticationError) as caught:
                client.upload_blob(os.urandom(4).hex(), b"x")
            assert caught.value.error_code == "AuthenticationFailed"


def test_the_policies_of_a_container_are_for_the_account_key_alone(
    world: StoreWorld, container: ContainerClient
) -> None:
    name = container.container_name
    thief = world.azure_by_sas(name, a_sas(name, permissions="racwdl"))
    for attempt in (
        thief.get_container_access_policy,
        lambda: thief.set_container_access_policy({"mine": None}),
        lambda: container.set_container_access_policy({}, public_access="container"),
    ):
        with pytest.raises(HttpResponseError) as caught:
            attempt()
        assert caught.value.error_code in {"AuthorizationPermissionMismatch", "UnsupportedHeader"}
    assert container.get_container_access_policy()["signed_identifiers"] == []
