"""What an order's SAS opens, and that a renewed one is used at once."""

from collections.abc import Iterator

import pytest

from agent_story import INSTANCE
from seams import SystemClock
from store_world import StoreWorld, a_sas, a_store_world
from strongroom.agent.access import container_opener
from strongroom.agent.held_lease import HeldLease
from strongroom.model.errors import Invalid, StoreDenied
from strongroom.model.work.operation import (
    CheckOrder,
    Heartbeat,
    HeartbeatReply,
    Lease,
    StorageAccess,
)


class Renewing:
    """A control plane that answers one heartbeat with a new access."""

    def __init__(self, access: StorageAccess) -> None:
        self._access = access

    def heartbeat(self, operation_id: str, beat: Heartbeat, *, seconds: float) -> HeartbeatReply:
        return HeartbeatReply(access=self._access)


@pytest.fixture(scope="module")
def store() -> Iterator[StoreWorld]:
    with a_store_world() as store:
        store.azure().create_container(INSTANCE)
        yield store


def an_access(store: StoreWorld, *, minutes: float) -> StorageAccess:
    sas = {"packs": a_sas(INSTANCE, "g/1", "d", "c", minutes=minutes)}
    return StorageAccess(container_url=f"{store.url}/{INSTANCE}", sas=sas, expires_at="")


def a_held(store: StoreWorld, *, minutes: float, client: object = None) -> HeldLease:
    lease = Lease(
        operation_id="op-1",
        epoch=1,
        check=CheckOrder(server="orders"),
        access=an_access(store, minutes=minutes),
    )
    return HeldLease(client, lease, SystemClock(), 0.01)


def test_the_packs_sas_creates_packs_and_nothing_else(store):
    blobs = container_opener(None)(a_held(store, minutes=60), "packs")
    blobs.create("g/1/a.pack", b"pack")
    with pytest.raises(StoreDenied):
        blobs.create("p/1.manifest", b"forged")
    with pytest.raises(StoreDenied):
        blobs.read("g/1/a.pack")


def test_an_expired_sas_is_denied(store):
    blobs = container_opener(None)(a_held(store, minutes=-1), "packs")
    with pytest.raises(StoreDenied):
        blobs.create("g/1/b.pack", b"pack")


def test_a_sas_that_a_heartbeat_renewed_is_used_at_once(store):
    held = a_held(store, minutes=-1, client=Renewing(an_access(store, minutes=60)))
    blobs = container_opener(None)(held, "packs")
    with pytest.raises(StoreDenied):
        blobs.create("g/1/c.pack", b"pack")
    held._beat_once()
    blobs.create("g/1/c.pack", b"pack")


def test_a_scope_that_was_not_granted_is_named(store):
    with pytest.raises(Invalid, match="read"):
        container_opener(None)(a_held(store, minutes=60), "read")
