"""The keys that the control plane guards: each instance's two pairs, and the receipt key."""

from strongroom.catalog import instance_keys
from strongroom.catalog.database import Database
from strongroom.datastore.keys import (
    instance_key_name,
    open_under_kek,
    seal_instance_key,
    seal_under_kek,
)
from strongroom.datastore.receipt import SigningKey
from strongroom.datastore.seal import KeyPair, PublicKey
from strongroom.model.errors import NotFound
from strongroom.model.seams import Chance, Clock

PURPOSES = ("catalogue", "data")


class Keyring:
    """Private halves lie in the catalogue, sealed under the key-encryption key (a 0600 file)."""

    def __init__(
        self,
        database: Database,
        key_encryption_key: bytes,
        recovery: PublicKey,
        signing: SigningKey,
    ) -> None:
        self._database = database
        self._kek = key_encryption_key
        self.recovery = recovery
        self.signing = signing

    def make_pair(
        self, instance_id: str, purpose: str, clock: Clock, chance: Chance
    ) -> tuple[str, bytes]:
        """Make and keep a pair (the first one stays); give the object that recovery needs.

        Returns the name `k/<key id>.key` and the pair sealed to the recovery key.
        """
        pair = KeyPair.generate(chance)
        public = pair.public
        with self._database.writing() as connection:
            row = {
                "key_id": public.key_id,
                "instance_id": instance_id,
                "purpose": purpose,
                "public_key": public.to_bytes(),
                "sealed_private": seal_under_kek(
                    self._kek, pair.to_bytes(), _bound_to(instance_id, purpose), chance
                ),
                "created_at": clock.now(),
            }
            instance_keys.add(connection, row)
        pair = self.pair(instance_id, purpose)
        sealed = seal_instance_key(self.recovery, pair, instance_id, purpose)
        return instance_key_name(pair.public.key_id), sealed

    def pair(self, instance_id: str, purpose: str) -> KeyPair:
        """An instance's pair, opened."""
        with self._database.reading() as connection:
            row = instance_keys.find(connection, instance_id, purpose)
        if row is None:
            raise NotFound(f"instance {instance_id} has no {purpose} key")
        sealed = row["sealed_private"]
        return KeyPair.from_bytes(
            open_under_kek(self._kek, sealed, _bound_to(instance_id, purpose))
        )

    def seal_signature(self, job_id: str, signature: str, chance: Chance) -> bytes:
        """What opens a job's target, for the job's row alone."""
        return seal_under_kek(self._kek, signature.encode(), _bound_to_job(job_id), chance)

    def open_signature(self, job_id: str, sealed: bytes) -> str:
        """The reverse; WrongKey for another job's."""
        return open_under_kek(self._kek, sealed, _bound_to_job(job_id)).decode()

    def public(self, instance_id: str, purpose: str) -> PublicKey:
        """The public half: what a writer is given."""
        with self._database.reading() as connection:
            row = instance_keys.find(connection, instance_id, purpose)
        if row is None:
            raise NotFound(f"instance {instance_id} has no {purpose} key")
        return PublicKey.from_bytes(row["public_key"])


def _bound_to(instance_id: str, purpose: str) -> bytes:
    return f"strongroom-instance-key-1\n{instance_id}\n{purpose}".encode()


def _bound_to_job(job_id: str) -> bytes:
    return f"strongroom-job-signature-1\n{job_id}".encode()
