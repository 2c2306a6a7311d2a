"""`strongroom rebuild`: a catalogue from storage and the recovery kit, while `serve` rests."""

import base64
import getpass
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from strongroom.app.seams import SystemChance, SystemClock
from strongroom.app.serve import ServeOptions, catalogue_of, keyring_of, store_of
from strongroom.catalog.basis.database import Database
from strongroom.config import Identity, ServeFiles
from strongroom.control.basis.control import Control
from strongroom.datastore.keys.keys import RecoveryKey, read_key_text
from strongroom.datastore.keys.kit import read_kit
from strongroom.datastore.rescue.snapshot import CONTAINER
from strongroom.durable.engine import JobEngine
from strongroom.model.errors import NotFound, Precondition
from strongroom.model.installation import Installation
from strongroom.postgres.log import wal_summary
from strongroom.workflows.basis.means import Means
from strongroom.workflows.basis.sealed_files import RECEIPTS, TOKENS
from strongroom.workflows.basis.vault_storage import VaultStorage
from strongroom.workflows.care.anchoring import StorageWitness, write_anchor
from strongroom.workflows.rebuild.rebuild import open_newest
from strongroom.workflows.rebuild.rebuild import rebuild as rebuild_catalogue
from strongroom.workflows.rebuild.snapshots import write_snapshot
from strongroom.workflows.wal.log_index import LogReading

LOG_READING = LogReading(
    is_log=wal_summary.is_log, server_of=wal_summary.server_of, line=wal_summary.LogLine
)
_OURS = re.compile(CONTAINER + r"[0-9a-f-]{36}")


def rebuild(  # noqa: PLR0913 - where everything lies
    serve: Path,
    *,
    store_url: str,
    account_key: Path,
    store_ca: Path | None = None,
    keys: Sequence[Path] = (),
    catalogue: str = "",
    kek: Sequence[str] = (),
) -> dict[str, Any]:
    """Of the control plane in `serve`; what was found (workflows/rebuild.py: Rebuilt).

    `keys`: files of a recovery key or kit; without them points and holds alone are learnt. Raises
    Invalid, NotFound, Precondition, StoreError.
    """
    recovery = read_kit([read_key_text(path) for path in keys]) if keys else None
    files, clock, chance = ServeFiles(serve), SystemClock(), SystemChance()
    options = ServeOptions(
        data=serve,
        store_url=store_url,
        store_ca=store_ca,
        account_key=base64.b64decode(account_key.read_bytes()),
        port=0,
        portal_port=0,
        connection=serve / "connection.json",
        recovery_key=serve / "recovery.key",
        agent_enrol=None,
        catalogue=catalogue,
        executor="rebuild",
        kek=tuple(kek),
    )
    storage = store_of(options, files, clock)
    if recovery is not None and not kek:
        _set_aside(files)
    put_back = _put_back(files, storage, recovery)
    who = files.identity(chance)
    database = catalogue_of(options, files, who)
    engine = JobEngine(database.url, executor_id=options.executor)
    try:
        keyring, sealed = keyring_of(options, files, database, chance)
        witness = StorageWitness(storage, keyring.signing, who.tenant_id).witness()
        control = _control(database, who, jobs=engine, witness=witness)
        own = partial(sealed.opened, files.own)
        means = Means(control, keyring, storage, own_files=own)
        actor = f"console:{getpass.getuser()}"
        found = rebuild_catalogue(means, recovery, actor, LOG_READING)
        write_snapshot(means)
        write_anchor(means)
    finally:
        engine.close()
        database.close()
    return {**msgspec.to_builtins(found), "files": put_back}


def _set_aside(files: ServeFiles) -> None:
    """What was sealed under a key-encryption key that is gone: it opens for nobody any more."""
    if (files.directory / "kek.key").exists():
        return
    for name in (RECEIPTS, TOKENS):
        path = files.directory / name
        if path.exists():
            path.rename(path.with_name(f"{name}.unopened"))


def _put_back(files: ServeFiles, storage: VaultStorage, recovery: RecoveryKey | None) -> list[str]:
    """The installation's own files, from its newest snapshot, where they are gone too."""
    if files.own().keys() >= {"identity.json", "receipt-signing.key", "recovery.public"}:
        return []
    if recovery is None:
        raise Precondition(
            f"{files.directory} is of no installation yet: its own files are gone",
            hint="name the recovery key or kit: strongroom rebuild --key FILE",
        )
    for name in filter(_OURS.fullmatch, storage.containers()):
        newest = open_newest(storage.container(name), recovery)
        if newest is not None:
            return files.put_back(_decoded(newest.files))
    raise NotFound(
        "no snapshot of a catalogue in this storage opens with this recovery key",
        hint="look whether it is the right one; `strongroom rescue` restores points without",
    )


def _decoded(files: Mapping[str, str]) -> dict[str, bytes]:
    return {name: base64.b64decode(told) for name, told in files.items()}


def _control(database: Database, who: Identity, **more: Any) -> Control:  # noqa: ANN401
    """No agent calls in, and no job begins."""
    return Control(
        database=database,
        clock=SystemClock(),
        chance=SystemChance(),
        installation=Installation(
            tenant_id=who.tenant_id,
            subscription_id=who.subscription_id,
            location=who.location,
            resource_group=who.resource_group,
            public_url="",
            portal_url="",
        ),
        release_keys=_nobody,
        grant_access=_nobody,
        give_identifier=_nobody,
        withdraw_identifier=_nobody,
        **more,
    )


def _nobody(*asked: object) -> NoReturn:
    del asked
    raise Precondition("nothing is handed out while the catalogue is rebuilt")
