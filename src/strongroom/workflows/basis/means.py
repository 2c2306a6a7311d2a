"""What a durable story needs, in one hand; `app.py` fills it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from blake3 import blake3

from strongroom.control.basis.control import Control
from strongroom.datastore.maps.manifest import Manifest, content_key_of, open_manifest
from strongroom.datastore.packs.pack import MANIFEST, read_header
from strongroom.datastore.packs.seal import KeyPair
from strongroom.model.errors import Corrupt, Precondition
from strongroom.workflows.basis.keyring import Keyring
from strongroom.workflows.basis.vault_storage import VaultStorage


@dataclass(frozen=True, slots=True)
class Means:
    """The control plane's decisions, the keys it guards, and its way to storage.

    `own_files()`: name -> bytes of the files without which it is another installation.
    """

    control: Control
    keyring: Keyring
    storage: VaultStorage
    second: VaultStorage | None = None  # a copy that is read when it is asked for
    own_files: Callable[[], Mapping[str, bytes]] = dict

    def at(self, order: Mapping[str, Any]) -> "Means":
        """The same, over the storage that an order reads. Raises Precondition."""
        if not order.get("second"):
            return self
        if self.second is None:
            raise Precondition(
                "this control plane knows no second copy",
                hint="start it with --second-url and --second-key",
            )
        return replace(self, storage=self.second)

    def open_point(self, instance_id: str, point_id: str) -> tuple[bytes, Manifest]:
        """The manifest of a committed point, with its content key.

        The receipt is checked first: a manifest that it does not vouch for is Corrupt.
        """
        blobs = self.storage.container(instance_id)
        receipt = self.keyring.signing.public.check(blobs.read(f"p/{point_id}.receipt"))
        stored = blobs.read(f"p/{point_id}.manifest")
        if blake3(stored).digest() != receipt.manifest_blake3:
            raise Corrupt(
                f"the manifest of {point_id} is not the one that was committed",
                hint="restore another point, and look into the storage endpoint's audit log",
            )
        pair = self.pair_for(instance_id, stored, MANIFEST)
        return content_key_of(stored, pair), open_manifest(stored, pair)

    def pair_for(self, instance_id: str, stored: bytes, magic: bytes) -> KeyPair:
        """The pair that the header of an object names: it may be older than the one in use.

        Raises WrongKey, Corrupt, Invalid.
        """
        return self.keyring.pair_of(instance_id, read_header(stored, magic).key_id)
