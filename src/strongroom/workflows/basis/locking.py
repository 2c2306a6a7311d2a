"""Locks at the storage endpoint: as immutable as the vault says, as long as the points need.

The endpoint keeps them in a book of its own (docs/decisions/0013): what is written there once,
this process cannot take back where the vault is Locked.
"""

from collections.abc import Collection, Sequence

from whenever import Instant

from strongroom.catalog.protection import instances
from strongroom.catalog.resources import vaults
from strongroom.datastore.maps.manifest import FORMAT_NAME
from strongroom.datastore.places.container import Immutability
from strongroom.durable.engine import Story
from strongroom.model.errors import StoreUnavailable
from strongroom.model.ids import InstanceId
from strongroom.model.resources.vault import immutability_of
from strongroom.workflows.basis.means import Means

UNCOMMITTED_DAYS = 14  # what an agent has put stays so long, committed or not


def lock_vault(means: Means, story: Story, vault_id: str) -> None:
    """The durable story behind a change of a vault's immutability."""
    with means.control.database.reading() as connection:
        found = instances.list_ids(connection, vault_id)
    for instance_id in found:
        story.step("set immutability", make_immutable, means, instance_id)


def make_immutable(means: Means, instance_id: InstanceId) -> None:
    """The container is as its vault is now; safe twice.

    Raises Locked when the container is Locked and the vault is said not to be.
    """
    with means.control.database.reading() as connection:
        vault = vaults.of_instance(connection, instance_id)
    state = immutability_of(vault["properties"])
    wanted = Immutability(state, 0 if state == "Disabled" else UNCOMMITTED_DAYS)
    view = means.storage.account_view(instance_id)
    if view.immutability() != wanted:
        view.set_immutability(wanted)


def lock_point(
    means: Means, instance_id: str, point: str, generations: Collection[str], until: Instant
) -> None:
    """Lock all that a point needs, and what will be its manifest and receipt, until it ends.

    The instance's sealed keys are needed by every point.
    One row for a generation, however many packs it has. What the endpoint says then is what
    counts: raises StoreUnavailable when a lock is not there.
    """
    names = [FORMAT_NAME, "k/", *(f"g/{generation}/" for generation in sorted(generations))]
    lock_names(means, instance_id, [*names, f"p/{point}.manifest", f"p/{point}.receipt"], until)


def extend_point(means: Means, instance_id: str, point: str, until: Instant) -> None:
    """Storage keeps all that a committed point needs to its new end, before anybody is told of it.

    Raises as lock_point does, and ObjectMissing when its receipt is not there.
    """
    raw = means.storage.container(instance_id).read(f"p/{point}.receipt")
    receipt = means.keyring.signing.public.check(raw)
    generations = {pack.name.split("/")[1] for pack in receipt.packs}
    lock_point(means, instance_id, point, generations, until)


def lock_names(means: Means, instance_id: str, names: Sequence[str], until: Instant) -> None:
    """Objects, or prefixes. Raises StoreUnavailable when a lock is not there."""
    view = means.storage.account_view(instance_id)
    for name, lock in zip(names, view.extend_locks(names, until), strict=True):
        if lock.until is None or Instant.parse_iso(lock.until) < until:
            raise StoreUnavailable(f"the storage endpoint does not hold the lock of {name}")
