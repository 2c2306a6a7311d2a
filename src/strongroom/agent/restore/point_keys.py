"""What opens a recovery point: the key of its manifest, and those of its packs.

They come sealed to a key pair that is made for one answer and lives in memory alone.
"""

from collections.abc import Iterable

from strongroom.agent.held_lease import HeldLease
from strongroom.datastore.keys.session import SessionKeys, open_session
from strongroom.datastore.maps.manifest import Manifest, open_manifest_with
from strongroom.datastore.packs.seal import KeyPair
from strongroom.datastore.places.blobs import Blobs
from strongroom.model.errors import Corrupt
from strongroom.model.seams import Chance
from strongroom.model.work.operation import KeysRequest, Progress

AT_ONCE = 8192  # packs: the control plane reads the head of each, and has a minute to answer


class PointKeys:
    """The keys of the point that an order names, as far as they were asked for."""

    def __init__(self, held: HeldLease, chance: Chance) -> None:
        """Asks for the manifest's, and for those of all packs where they are not many."""
        held.tell(Progress(step="Connecting"))
        self._held = held
        self._chance = chance
        found = self._ask(None)
        self._lost: set[bytes] = set()
        self.manifest = found.manifest
        self.packs: dict[bytes, bytes] = found.packs  # by id, 16 bytes

    def need(self, packs: Iterable[bytes]) -> None:
        """Have the keys of these in `packs`, but of those that have lost their own."""
        lacking = [each for each in packs if each not in self.packs and each not in self._lost]
        for start in range(0, len(lacking), AT_ONCE):
            part = lacking[start : start + AT_ONCE]
            self.packs.update(self._ask(part).packs)
            self._lost.update(each for each in part if each not in self.packs)

    def _ask(self, packs: list[bytes] | None) -> SessionKeys:
        pair = KeyPair.generate(self._chance)
        request = KeysRequest(
            epoch=self._held.lease.epoch,
            session_public_key=pair.public.to_bytes(),
            packs=packs,
            at_most=AT_ONCE,
        )
        operation_id = self._held.lease.operation_id
        reply = self._held.client.keys(operation_id, request, self._held.pause)
        return open_session(pair, operation_id, reply.sealed)


def open_manifest(
    name: str, point_id: str, blobs: Blobs, keys: PointKeys, *, in_part: bool = False
) -> Manifest:
    """The map of a point; Corrupt when another one lies under its name.

    All of its packs have their keys then, but `in_part`: who reads little asks for those.
    """
    manifest = open_manifest_with(blobs.read(name), keys.manifest)
    if manifest.facts.recovery_point_id != point_id:
        raise Corrupt(
            f"{name} is the manifest of another recovery point",
            hint="Verify the vault's storage: names have been swapped.",
        )
    if not in_part:
        keys.need(pack.id for pack in manifest.packs)
    return manifest
