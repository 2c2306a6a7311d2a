"""Keys at rest: the recovery key, an instance's keys beside its data, and the catalogue's copies.

`k/<key id>.key` in a container is the private half of an instance's pair, sealed to the
installation's recovery key: storage and the recovery key are all that a rescue needs.
"""

import base64
import os
from dataclasses import dataclass
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from strongroom.datastore.packs.checked import decode_checked
from strongroom.datastore.packs.seal import KeyPair, PublicKey, open_sealed, seal
from strongroom.datastore.statements.receipt import VerifyKey
from strongroom.model.errors import Corrupt, Invalid, NotFound, WrongKey
from strongroom.model.seams import Chance

_FIRST = "strongroom recovery key 1"
_INFO = b"strongroom-instance-key-1"
_MOST_TEXT = 4096  # bytes of a recovery key file


@dataclass(frozen=True, slots=True, repr=False)
class RecoveryKey:
    """Opens every instance of an installation, and knows who signs its receipts."""

    pair: KeyPair
    verify: VerifyKey

    def to_text(self) -> str:
        """The file: three lines of text."""
        secret = base64.b64encode(self.pair.to_bytes()).decode()
        public = base64.b64encode(self.verify.raw).decode()
        return f"{_FIRST}\nsecret {secret}\nverify {public}\n"

    @classmethod
    def from_text(cls, text: str) -> "RecoveryKey":
        """Read it at the door."""
        lines = text.strip().splitlines()
        try:
            parts = {"": lines[0].strip(), **dict(line.split(" ", 1) for line in lines[1:])}
            secret = base64.b64decode(parts["secret"], validate=True)
            verify = base64.b64decode(parts["verify"], validate=True)
            known = {_FIRST: VerifyKey(verify)}[parts[""]]
            return cls(KeyPair.from_bytes(secret), known)
        except (ValueError, KeyError, IndexError, Corrupt) as error:
            raise Invalid(
                "this is no strongroom recovery key",
                hint=f"the file begins with the line: {_FIRST}",
            ) from error


def read_recovery_key(path: Path) -> RecoveryKey:
    """From its file; Invalid when it is not one, NotFound when it cannot be read."""
    return RecoveryKey.from_text(read_key_text(path))


def read_key_text(path: Path) -> str:
    """What a file of a recovery key, or of a kit, says; NotFound when it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(_MOST_TEXT).decode("ascii", "replace")
    except OSError as error:
        raise NotFound(
            f"the recovery key {path} cannot be read: {error.strerror}",
            hint="name the file that was made with the installation, or your copy of it",
        ) from error


def write_recovery_key(path: Path, key: RecoveryKey) -> None:
    """Once, mode 0600, synced; never over an existing file."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(key.to_text())
        file.flush()
        os.fsync(file.fileno())


class InstanceKey(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What lies sealed in `k/<key id>.key`."""

    instance_id: str
    purpose: str  # catalogue | data
    secret: bytes


def instance_key_name(key_id: bytes, later: bytes | None = None) -> str:
    """The object's name; `later`: the id of the recovery key that took the first one's place."""
    return f"k/{key_id.hex()}.key" if later is None else f"k/{key_id.hex()}.{later.hex()}.key"


def seal_instance_key(recovery: PublicKey, pair: KeyPair, instance_id: str, purpose: str) -> bytes:
    """For storage: only the recovery key opens it."""
    told = InstanceKey(instance_id=instance_id, purpose=purpose, secret=pair.to_bytes())
    return seal(recovery, _INFO + pair.public.key_id, msgspec.msgpack.encode(told))


def open_instance_key(recovery: KeyPair, key_id: bytes, sealed: bytes) -> InstanceKey:
    """The reverse; WrongKey when it was sealed to another recovery key."""
    raw = open_sealed(recovery, _INFO + key_id, sealed)
    found: InstanceKey = decode_checked(raw, InstanceKey)
    if KeyPair.from_bytes(found.secret).public.key_id != key_id:
        raise Corrupt("an instance key lies under another key's name")
    return found


def seal_under_kek(kek: bytes, secret: bytes, bound_to: bytes, chance: Chance) -> bytes:
    """AES-256-GCM: 12 bytes of nonce, then the sealed secret."""
    nonce = chance.bytes(12)
    return nonce + AESGCM(kek).encrypt(nonce, secret, bound_to)


def open_under_kek(kek: bytes, sealed: bytes, bound_to: bytes) -> bytes:
    """The reverse."""
    try:
        return AESGCM(kek).decrypt(sealed[:12], sealed[12:], bound_to)
    except (InvalidTag, ValueError) as error:
        raise WrongKey(
            "the key-encryption key does not open a key of the catalogue",
            hint="put back the kek.key that belongs to this catalogue",
        ) from error
