"""Sealing to a public key: post-quantum hybrid HPKE, suite 1.

ML-KEM-768 + X25519, HKDF-SHA256, AES-256-GCM. Source: RFC 9180; `cryptography`'s hpke module.
A writer that has only the public key can add and can read nothing, itself included.
"""

from dataclasses import dataclass
from functools import cached_property

from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import mlkem, x25519

from strongroom.model.errors import Corrupt, Invalid, WrongKey
from strongroom.model.ids import KeyId
from strongroom.model.seams import Chance

SUITE = 1
SEALED_KEY_SIZE = 1168  # a 32-byte secret, sealed
_MLKEM_PUBLIC = 1184
_MLKEM_SEED = 64
_X25519 = 32
_SUITE = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """1184 bytes of ML-KEM-768, then 32 of X25519."""

    raw: bytes

    @classmethod
    def from_bytes(cls, raw: bytes) -> "PublicKey":
        """Check the length, keep the bytes."""
        if len(raw) != _MLKEM_PUBLIC + _X25519:
            raise Corrupt(f"a public key has {len(raw)} bytes, not {_MLKEM_PUBLIC + _X25519}")
        return cls(raw)

    def to_bytes(self) -> bytes:
        """The reverse."""
        return self.raw

    @property
    def key_id(self) -> KeyId:
        """The first 16 bytes of the BLAKE3 of the key's bytes."""
        return KeyId(blake3(self.raw).digest(16))


@dataclass(frozen=True, repr=False)
class KeyPair:
    """Seeds of both private keys: 64 bytes of ML-KEM-768, then 32 of X25519.

    What the seeds give is worked out once: a point has a key for each pack.
    """

    _seeds: bytes

    @classmethod
    def generate(cls, chance: Chance) -> "KeyPair":
        """A fresh pair."""
        return cls(chance.bytes(_MLKEM_SEED + _X25519))

    @classmethod
    def from_bytes(cls, seeds: bytes) -> "KeyPair":
        """Check the length, keep the bytes."""
        if len(seeds) != _MLKEM_SEED + _X25519:
            raise Corrupt(f"a private key has {len(seeds)} bytes, not {_MLKEM_SEED + _X25519}")
        return cls(seeds)

    def to_bytes(self) -> bytes:
        """The secret itself."""
        return self._seeds

    @cached_property
    def private(self) -> hpke.MLKEM768X25519PrivateKey:
        """The library's own form."""
        return hpke.MLKEM768X25519PrivateKey(
            mlkem.MLKEM768PrivateKey.from_seed_bytes(self._seeds[:_MLKEM_SEED]),
            x25519.X25519PrivateKey.from_private_bytes(self._seeds[_MLKEM_SEED:]),
        )

    @cached_property
    def public(self) -> PublicKey:
        """The half that writers are given."""
        first = mlkem.MLKEM768PrivateKey.from_seed_bytes(self._seeds[:_MLKEM_SEED])
        second = x25519.X25519PrivateKey.from_private_bytes(self._seeds[_MLKEM_SEED:])
        return PublicKey(
            first.public_key().public_bytes_raw() + second.public_key().public_bytes_raw()
        )

    def __repr__(self) -> str:
        return f"KeyPair({self.public.key_id.hex()})"


def seal(public: PublicKey, info: bytes, secret: bytes) -> bytes:
    """Seal `secret`, bound to `info`. Invalid for bytes that are no public key."""
    try:
        key = hpke.MLKEM768X25519PublicKey(
            mlkem.MLKEM768PublicKey.from_public_bytes(public.raw[:_MLKEM_PUBLIC]),
            x25519.X25519PublicKey.from_public_bytes(public.raw[_MLKEM_PUBLIC:]),
        )
        return _SUITE.encrypt(secret, key, info)
    except ValueError as error:
        raise Invalid(f"public key {public.key_id.hex()} is not one that can be used") from error


def open_sealed(pair: KeyPair, info: bytes, sealed: bytes) -> bytes:
    """Open what was sealed to this pair under the same `info`; WrongKey otherwise."""
    try:
        return _SUITE.decrypt(sealed, pair.private, info)
    except (InvalidTag, ValueError) as error:
        raise WrongKey(
            "this key does not open it, or it has been altered",
            hint="use the key whose id stands in the header",
        ) from error
