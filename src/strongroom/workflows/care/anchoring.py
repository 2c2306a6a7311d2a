"""Anchors of the audit chain at the storage endpoint, where nobody rewrites them.

They lie in a container of their own, whose immutability is Locked: what is there stays for ten
years, whoever asks. One is written while the head of the chain moves; a record that is edited,
cut off, or missing in a catalogue that was set back no longer fits the anchor behind it.
"""

import contextlib

import msgspec
import structlog

from strongroom.catalog.oversight import audit
from strongroom.control.basis.control import Witness
from strongroom.control.oversight import audit as control_audit
from strongroom.datastore.places.container import Immutability
from strongroom.datastore.statements.receipt import SigningKey
from strongroom.model.errors import Corrupt, ObjectExists, ObjectMissing
from strongroom.model.oversight.audit import (
    ANCHORED_AS,
    Anchor,
    anchor_name,
    canonical,
    read_anchor_name,
)
from strongroom.workflows.basis.means import Means
from strongroom.workflows.basis.vault_storage import VaultStorage

ANCHOR_DAYS = 3660
_WANTED = Immutability("Locked", ANCHOR_DAYS)

log = structlog.get_logger()


def container_of(installation: str) -> str:
    """Where an installation's anchors lie."""
    return f"audit-{installation}"


def write_anchor(means: Means) -> None:
    """State the head of the chain; one that is stated already is as good."""
    control = means.control
    with control.database.reading() as connection:
        sequence, digest = audit.head(connection)
    if sequence == 0:
        return
    installation = control.installation.tenant_id
    view = means.storage.account_view(container_of(installation))
    view.ensure()
    if view.immutability() != _WANTED:
        view.set_immutability(_WANTED)
    stated = Anchor(
        installation=installation,
        sequence=sequence,
        digest=digest.hex(),
        at=control.clock.now().format_iso(),
    )
    blobs = means.storage.container(container_of(installation))
    with contextlib.suppress(ObjectExists):
        blobs.create(anchor_name(sequence, digest), seal_anchor(means.keyring.signing, stated))


def seal_anchor(signing: SigningKey, stated: Anchor) -> bytes:
    """The object: {"body": ..., "signature": hex}."""
    body = msgspec.to_builtins(stated)
    signature = signing.sign_statement(ANCHORED_AS + canonical(body))
    return canonical({"body": body, "signature": signature.hex()})


class StorageWitness:
    """Anchors as they lie in storage, and our own signature."""

    def __init__(self, storage: VaultStorage, signing: SigningKey, installation: str) -> None:
        self._blobs = storage.container(container_of(installation))
        self._key = signing.public
        self._installation = installation

    def witness(self) -> Witness:
        """For the control plane."""
        return Witness(self._key.has_signed_record, self.anchors, self.read)

    def anchors(self) -> list[str]:
        """The names of all; none where none was ever written."""
        try:
            return [name for name, _ in self._blobs.list("a/")]
        except ObjectMissing:
            return []

    def read(self, name: str) -> Anchor:
        """What one states. Raises Corrupt unless we signed it under this name."""
        try:
            told = msgspec.json.decode(self._blobs.read(name))
            body, signature = told["body"], bytes.fromhex(told["signature"])
            stated = msgspec.convert(body, type=Anchor)
            signed = self._key.has_signed(ANCHORED_AS + canonical(body), signature)
        except (ValueError, KeyError, TypeError) as error:
            raise Corrupt(f"{name} is no anchor of ours") from error
        about = read_anchor_name(name)
        fits = about is not None and (stated.sequence, stated.digest) == (
            about.sequence,
            about.digest.hex(),
        )
        if not (signed and fits and stated.installation == self._installation):
            raise Corrupt(f"{name} is no anchor of ours")
        return stated


def examine_chain(means: Means) -> None:
    """The whole chain against its anchors; what does not fit is an alarm in the log."""
    found = 0
    for verdict in control_audit.verdicts(means.control):
        for problem in verdict.problems:
            found += 1
            told = {"record": problem.sequence, "kind": problem.kind}
            log.error("audit.broken", **told, message=problem.message)
    log.info("audit.examined", problems=found)
