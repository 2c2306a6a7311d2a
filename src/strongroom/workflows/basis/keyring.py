"""The keys that the control plane guards: each instance's pairs, and the receipt key."""

import base64

import sqlalchemy as sa

from strongroom.catalog.basis.database import Database
from strongroom.catalog.installation import installation
from strongroom.catalog.protection import instance_keys
from strongroom.datastore.keys.keys import instance_key_name, seal_instance_key
from strongroom.datastore.packs.seal import KeyPair, PublicKey
from strongroom.datastore.statements.receipt import SigningKey
from strongroom.model.errors import NotFound, WrongKey
from strongroom.model.identities.custody import Custody
from strongroom.model.seams import Chance, Clock
from strongroom.workflows.basis.kek import KeyEncryption
from strongroom.workflows.basis.sealed_files import SealedFiles

PURPOSES = ("catalogue", "data")
_LATER_RECOVERY = "recovery_public"


class Keyring:
    """Private halves lie in the catalogue, sealed under the key-encryption key (kek.py)."""

    def __init__(
        self,
        database: Database,
        kek: KeyEncryption,
        recovery: PublicKey,
        signing: SigningKey,
        files: SealedFiles | None = None,
    ) -> None:
        """`files`: where the signing keys lie, of a control plane that has a directory."""
        self._database = database
        self.files = files
        self.kek = kek
        self._first_recovery = recovery
        self.signing = signing

    def make_pair(self, instance_id: str, purpose: str, clock: Clock, chance: Chance) -> KeyPair:
        """Make and keep a pair; the first one stays, and is given."""
        made = KeyPair.generate(chance)
        with self._database.writing() as connection:
            self.keep_pair(connection, instance_id, (purpose, 1), made, clock)
        return self.first_pair(instance_id, purpose)

    def keep_pair(
        self,
        connection: sa.Connection,
        instance_id: str,
        place: tuple[str, int],
        pair: KeyPair,
        clock: Clock,
    ) -> None:
        """In the catalogue, at `place` = (purpose, number); one that is there already stays."""
        purpose, number = place
        row = {
            "key_id": pair.public.key_id,
            "instance_id": instance_id,
            "purpose": purpose,
            "number": number,
            "public_key": pair.public.to_bytes(),
            "sealed_private": self.kek.seal(pair.to_bytes(), bound_to(instance_id, purpose)),
            "created_at": clock.now(),
        }
        instance_keys.add(connection, row)

    def escrow(self, instance_id: str, purpose: str, pair: KeyPair) -> bytes:
        """The pair, sealed to the recovery key that is in force."""
        return seal_instance_key(self.recovery, pair, instance_id, purpose)

    def escrow_names(self, key_id: bytes) -> list[str]:
        """Where a pair may lie for the recovery key that is in force; the first name is preferred.

        The first recovery key of an installation has the short names.
        """
        recovery = self.recovery
        long = instance_key_name(key_id, recovery.key_id)
        return [instance_key_name(key_id), long] if recovery == self._first_recovery else [long]

    @property
    def recovery(self) -> PublicKey:
        """The public half of the recovery key that is in force."""
        with self._database.reading() as connection:
            later = installation.get(connection, _LATER_RECOVERY)
        return PublicKey.from_bytes(base64.b64decode(later)) if later else self._first_recovery

    def custody(self) -> Custody:
        """Who keeps which key."""
        return Custody(
            key_encryption=self.kek.names,
            recovery_key_id=self.recovery.key_id.hex(),
            verify_key=base64.b64encode(self.signing.public.raw).decode(),
        )

    def use_recovery(self, connection: sa.Connection, recovery: PublicKey) -> None:
        """From here on pairs are sealed to this one as well."""
        text = base64.b64encode(recovery.to_bytes()).decode()
        installation.put(connection, _LATER_RECOVERY, text)

    def pair_of(self, instance_id: str, key_id: bytes) -> KeyPair:
        """The pair that a header names, opened. Raises WrongKey when it is not ours."""
        row = self._row_of(instance_id, key_id)
        try:
            return self.opened(row)
        except WrongKey:
            again = self._row_of(instance_id, key_id)
            if again["sealed_private"] == row["sealed_private"]:
                raise
            return self.opened(again)  # it was sealed anew in between, and the old key forgotten

    def _row_of(self, instance_id: str, key_id: bytes) -> sa.RowMapping:
        with self._database.reading() as connection:
            row = instance_keys.by_id(connection, instance_id, key_id)
        if row is None:
            raise WrongKey(
                f"the key {key_id.hex()} of instance {instance_id} is not in the catalogue",
                hint="strongroom rescue opens it with the recovery key, unless it was shredded",
            )
        return row

    def pair(self, instance_id: str, purpose: str) -> KeyPair:
        """The pair that writers are given the public half of, opened."""
        return self.opened(self._row(instance_id, purpose, -1))

    def first_pair(self, instance_id: str, purpose: str) -> KeyPair:
        """The one that the instance was made with, whatever was rotated since."""
        return self.opened(self._row(instance_id, purpose, 0))

    def opened(self, row: sa.RowMapping) -> KeyPair:
        """A row's pair. Raises WrongKey when it does not open, or is another's."""
        place = bound_to(row["instance_id"], row["purpose"])
        pair = KeyPair.from_bytes(self.kek.open(row["sealed_private"], place))
        if pair.public.key_id != row["key_id"]:
            raise WrongKey(f"the row of key {row['key_id'].hex()} holds another key")
        return pair

    def public(self, instance_id: str, purpose: str) -> PublicKey:
        """The public half: what a writer is given."""
        return PublicKey.from_bytes(self._row(instance_id, purpose, -1)["public_key"])

    def seal_signature(self, job_id: str, signature: str) -> bytes:
        """What opens a job's target, for the job's row alone."""
        return self.kek.seal(signature.encode(), bound_to_job(job_id))

    def open_signature(self, job_id: str, sealed: bytes) -> str:
        """The reverse; WrongKey for another job's."""
        return self.kek.open(sealed, bound_to_job(job_id)).decode()

    def _row(self, instance_id: str, purpose: str, which: int) -> sa.RowMapping:
        with self._database.reading() as connection:
            rows = instance_keys.list_of_purpose(connection, instance_id, purpose)
        if not rows:
            raise NotFound(
                f"instance {instance_id} has no {purpose} key",
                hint="it was shredded, or its protection was never set up",
            )
        return rows[which]


def bound_to(instance_id: str, purpose: str) -> bytes:
    """A sealed private half opens as this instance's and for this purpose, or not at all."""
    return f"strongroom-instance-key-1\n{instance_id}\n{purpose}".encode()


def bound_to_job(job_id: str) -> bytes:
    """A sealed signature opens as this job's, or not at all."""
    return f"strongroom-job-signature-1\n{job_id}".encode()
