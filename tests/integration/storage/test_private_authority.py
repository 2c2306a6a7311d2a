"""A store behind TLS with a certificate of a private authority: trusted when it is named."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from authority import Authority
from seams import SystemClock
from store_world import KEY, StoreWorld, a_store_world
from strongroom.agent.access import container_opener
from strongroom.agent.held_lease import HeldLease
from strongroom.app.serve import ServeOptions, store_of
from strongroom.config import ServeFiles
from strongroom.model.errors import Precondition, StoreUnavailable
from strongroom.model.work.operation import CheckOrder, Lease
from strongroom.workflows.basis.vault_storage import VaultStorage

INSTANCE = "0192-instance"
PATHS = {"generation": "rp", "delta": "d/job.1.delta", "partial": "d/job.1", "identifier": "job.1"}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def world(authority: Authority) -> Iterator[StoreWorld]:
    with a_store_world(tls=authority.server_certificate()) as world:
        yield world


def storage_of(world: StoreWorld, directory: Path, store_ca: Path | None) -> VaultStorage:
    """As `serve --store-ca` makes it."""
    options = ServeOptions(
        data=directory,
        store_url=world.url,
        store_ca=store_ca,
        account_key=KEY,
        port=0,
        portal_port=0,
        connection=directory / "connection.json",
        recovery_key=directory / "recovery.key",
        agent_enrol=None,
        catalogue="",
        executor="test",
    )
    files = ServeFiles(directory)
    files.ensure_certificates(["localhost"], SystemClock())
    return store_of(options, files, SystemClock())


def test_the_control_plane_and_its_agents_trust_the_authority_that_was_named(
    world: StoreWorld, authority: Authority, tmp_path: Path
) -> None:
    storage = storage_of(world, tmp_path / "serve", authority.ca_file)
    storage.account_view(INSTANCE).ensure()
    storage.container(INSTANCE).create("p/rp.manifest", b"manifest")
    storage.give_identifier(INSTANCE, "job.1", 100)
    access = storage.grant("backup", INSTANCE, PATHS)
    assert "spr=https&" in access.sas["packs"]
    lease = Lease(operation_id="job", epoch=1, check=CheckOrder(server="x"), access=access)
    held = HeldLease(None, lease, SystemClock(), 1.0)
    container_opener(None)(held, "packs").create("g/rp/a.pack", b"pack")
    assert storage.container(INSTANCE).read("g/rp/a.pack") == b"pack"


def test_a_store_of_another_authority_is_not_spoken_to(world: StoreWorld, tmp_path: Path) -> None:
    storage = storage_of(world, tmp_path / "serve", None)
    with pytest.raises(StoreUnavailable):
        storage.account_view(INSTANCE).ensure()


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe", b"not a certificate"])
def test_an_authority_that_cannot_be_read_is_told_at_the_start(
    world: StoreWorld, tmp_path: Path, content: bytes | None
) -> None:
    wrong = tmp_path / "wrong.pem"
    if content is not None:
        wrong.write_bytes(content)
    with pytest.raises(Precondition, match=r"wrong\.pem"):
        storage_of(world, tmp_path / "serve", wrong)
