"""The control plane, wired: catalogue, durable engine, keys, storage, doors, sweeps."""

import base64
import os
import socket
import ssl
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import structlog
from fastapi import FastAPI

from strongroom.app.doors import Doors
from strongroom.app.going_on import check_catalogue, note_used
from strongroom.app.memory import few_heaps, keep_what_is_built
from strongroom.app.portal_user import ensure_administrator
from strongroom.catalog.basis.database import Database
from strongroom.catalog.installation import executors
from strongroom.catalog.migrate import upgrade
from strongroom.config import (
    Identity,
    ServeFiles,
    new_token_key,
    replace_private,
    write_private,
)
from strongroom.control.basis.control import Control, OwnStorage, Second
from strongroom.control.basis.service_clock import ServiceClock
from strongroom.control.identities import identity
from strongroom.control.work import agents
from strongroom.datastore.keys.keys import RecoveryKey, write_recovery_key
from strongroom.datastore.packs.seal import KeyPair, PublicKey
from strongroom.datastore.statements.receipt import SigningKey
from strongroom.durable.engine import JobEngine
from strongroom.model.errors import Invalid, Precondition
from strongroom.model.identities.access import OWNER
from strongroom.model.installation import Installation
from strongroom.model.listening import LOOPBACK, Listening, at, is_loopback
from strongroom.model.oversight.outside import Outside
from strongroom.model.seams import Chance, Clock
from strongroom.web.server import DoorSettings, create_app, listen, serve
from strongroom.workflows.backup.apply_policy import apply_policy
from strongroom.workflows.backup.backup import back_up
from strongroom.workflows.backup.configure_protection import configure_protection
from strongroom.workflows.backup.long_term import dump_out
from strongroom.workflows.backup.parents import open_parent
from strongroom.workflows.backup.resume import open_resume
from strongroom.workflows.basis.bound import bound
from strongroom.workflows.basis.kek import key_encryption
from strongroom.workflows.basis.keyring import Keyring
from strongroom.workflows.basis.locking import lock_vault
from strongroom.workflows.basis.means import Means
from strongroom.workflows.basis.sealed_files import TOKENS, SealedFiles
from strongroom.workflows.basis.ticking import Ticking
from strongroom.workflows.basis.vault_storage import SecondStorage, VaultStorage
from strongroom.workflows.care.alerting import Alerting
from strongroom.workflows.care.anchoring import StorageWitness
from strongroom.workflows.care.care import Care
from strongroom.workflows.care.second_copy import whole_points
from strongroom.workflows.care.sweeps import Sweeps
from strongroom.workflows.care.wal_care import WalCare
from strongroom.workflows.expiry.expire import expire_instance
from strongroom.workflows.expiry.holding import release_hold, set_hold
from strongroom.workflows.expiry.purge import purge
from strongroom.workflows.garbage.collect_job import collect_garbage
from strongroom.workflows.keys.key_census import examine_keys
from strongroom.workflows.keys.recovery_key import replace_recovery_key
from strongroom.workflows.keys.rotation import rotate_instance, rotate_kek
from strongroom.workflows.proof.drill import drill
from strongroom.workflows.proof.verify import verify
from strongroom.workflows.restore.restore import release_keys, restore
from strongroom.workflows.wal.wal_keeping import keep_wal, open_wal

log = structlog.get_logger()
SECOND = "2"  # after the location's name: the second region's, as Azure pairs eastus and eastus2


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """How a control plane is started. `catalogue` empty: SQLite in `data`."""

    data: Path
    store_url: str
    store_ca: Path | None = None
    account_key: bytes = field(repr=False)
    port: int
    portal_port: int
    connection: Path
    recovery_key: Path
    agent_enrol: Path | None
    catalogue: str
    executor: str
    listening: Listening = field(default_factory=Listening)
    kek: tuple[str, ...] = ()
    second_url: str = ""
    second_key: bytes = field(repr=False, default=b"")
    second_ca: Path | None = None
    accept_clock: bool = False


def _outside(
    options: ServeOptions, files: ServeFiles, storage: VaultStorage, clock: Clock
) -> Outside:
    doors = Doors(files, clock, options.store_url, options.second_url)
    return Outside(storage.room, doors.certificates)


def _own(storage: VaultStorage) -> OwnStorage:
    return OwnStorage(
        storage.account_url,
        storage.sign_files,
        storage.publish,
        storage.published_at,
        storage.holds,
    )


def run_serve(options: ServeOptions, clock: Clock, chance: Chance) -> None:
    """From files to answering, until SIGTERM."""
    few_heaps()
    files = ServeFiles(options.data)
    ready = options.data / "ready.json"
    ready.unlink(missing_ok=True)
    who = files.identity(chance)
    files.ensure_certificates(options.listening.certificate_names(socket.gethostname()), clock)
    sockets = listen(options.listening.host, options.port), listen(LOOPBACK, options.portal_port)
    installation = _installation(options, who, sockets)
    database = catalogue_of(options, files, who)
    alone = ExitStack()  # it goes with the process, should we not come to its end
    alone.enter_context(executors.alone(database, options.executor))
    engine = JobEngine(database.url, executor_id=options.executor)
    storage, second = store_of(options, files, clock), second_of(options, files, clock)
    keyring, sealed = keyring_of(options, files, database, chance)
    # Some callables below need the means, which need the control plane: tied at the end.
    tied: list[Means] = []
    control = Control(
        database=database,
        jobs=engine,
        clock=clock,
        chance=chance,
        installation=installation,
        release_keys=lambda *asked: release_keys(tied[0], *asked),
        grant_access=storage.grant,
        own_storage=_own(storage),
        give_identifier=storage.give_identifier,
        withdraw_identifier=storage.withdraw_identifier,
        seal_signature=keyring.seal_signature,
        open_signature=keyring.open_signature,
        custody=keyring.custody,
        service_clock=ServiceClock(clock, database, accept=options.accept_clock),
        second=None if second is None else _told_of(second, who.location, keyring),
        outside=_outside(options, files, storage, clock),
        witness=StorageWitness(storage, keyring.signing, who.tenant_id).witness(),
        open_parent=lambda *asked: open_parent(tied[0], *asked),
        open_resume=lambda *asked: open_resume(tied[0], *asked),
        keep_wal=lambda *asked: keep_wal(tied[0], *asked),
        open_wal=lambda *asked: open_wal(tied[0], *asked),
    )
    means = Means(control, keyring, storage, second, partial(sealed.opened, files.own))
    tied.append(means)
    check_catalogue(control, files)
    _register(engine, means)
    sweeps, care = Sweeps(control, options.executor), Care(means)
    streams, alerting = WalCare(means), Alerting(control, files.directory)
    sweeps.beat()
    engine.launch()
    _first_start(control, who, options, files)
    door = DoorSettings(
        sealed.keep(TOKENS, new_token_key), files.server_certificate, files.server_key
    )

    try:
        _answer(create_app(control, door), door, sockets, ready, (sweeps, care, streams, alerting))
    finally:
        engine.close()
        alone.close()
        database.close()


def _answer(
    app: FastAPI,
    door: DoorSettings,
    sockets: tuple[socket.socket, socket.socket],
    ready: Path,
    threads: tuple[Ticking, ...],
) -> None:
    """Until SIGTERM, with what runs by the clock beside it."""

    def on_ready() -> None:
        keep_what_is_built()
        for each in threads:
            each.start()
        told = {"port": _port(sockets[0]), "portalPort": _port(sockets[1]), "pid": os.getpid()}
        replace_private(ready, msgspec.json.encode(told))
        log.info("serve.ready", **told)

    try:
        serve(app, door, sockets, on_ready)
    finally:
        ready.unlink(missing_ok=True)
        for each in reversed(threads):
            each.stop()


def catalogue_of(options: ServeOptions, files: ServeFiles, who: Identity) -> Database:
    database = Database(options.catalogue or f"sqlite:///{files.catalogue}")
    upgrade(database)
    identity.claim_catalogue(database, who.tenant_id)
    return database


def store_of(options: ServeOptions, files: ServeFiles, clock: Clock) -> VaultStorage:
    """Over https with a certificate of our own CA, or of the one that was named; or on this
    machine.
    """
    ca = _trusted("store", options.store_url, options.store_ca, files)
    return VaultStorage(options.store_url, options.account_key, clock, ca=ca)


def second_of(options: ServeOptions, files: ServeFiles, clock: Clock) -> SecondStorage | None:
    """The copy at another endpoint, if there is one: trusted as the first one is."""
    if not options.second_url:
        return None
    ca = _trusted("second", options.second_url, options.second_ca, files)
    return SecondStorage(options.second_url, options.second_key, clock, ca=ca)


def _trusted(which: str, url: str, ca: Path | None, files: ServeFiles) -> bytes | None:
    """The authority that vouches for an endpoint; None for one on this machine, without TLS.

    `which`: as in the options --store-url and --second-url. Raises Invalid, Precondition.
    """
    place = urlsplit(url)
    if place.scheme == "https":
        return _authority(ca or files.ca, f"--{which}-ca")
    if place.scheme == "http" and is_loopback(place.hostname or ""):
        return None
    whose = "the second store" if which == "second" else "the store"
    raise Invalid(
        f"{whose}'s address {place.scheme}://{place.hostname} is not safe",
        hint="use https, with a certificate of ours for the store: strongroom certificate",
    )


def _told_of(second: SecondStorage, location: str, keyring: Keyring) -> Second:
    points = partial(whole_points, second, keyring.signing.public)
    return Second(f"{location}{SECOND}", points, second.access, second.told)


def _authority(file: Path, option: str) -> bytes:
    """A PEM file of certificates, read and tried. Raises Precondition, naming the option."""
    try:
        pem = file.read_bytes()
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem.decode("ascii"))
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise Precondition(
            f"{file} is not a readable PEM certificate",
            hint=f"give {option} the certificate of the authority that signed the store's",
        ) from error
    return pem


def _register(engine: JobEngine, means: Means) -> None:
    def register(name: str, work: Callable[..., Any]) -> None:
        engine.register(name, bound(means, name, work))

    register("configure-protection", configure_protection)
    register("backup", back_up)
    register("restore", restore)
    register("long-term-backup", dump_out)
    register("lock-vault", lock_vault)
    register("collect-garbage", collect_garbage)
    register("verify", verify)
    register("drill", drill)
    register("rotate-kek", rotate_kek)
    register("rotate-keys", rotate_instance)
    register("check-keys", examine_keys)
    register("replace-recovery-key", replace_recovery_key)
    register("expire-instance", expire_instance)
    register("apply-policy", apply_policy)
    register("purge", purge)
    register("set-hold", set_hold)
    register("release-hold", release_hold)


def _port(opened: socket.socket) -> int:
    return int(opened.getsockname()[1])


def _installation(
    options: ServeOptions, who: Identity, sockets: tuple[socket.socket, socket.socket]
) -> Installation:
    listening, hostname, port = options.listening, socket.gethostname(), _port(sockets[0])
    names = listening.certificate_names(hostname)
    return Installation(
        tenant_id=who.tenant_id,
        subscription_id=who.subscription_id,
        location=who.location,
        resource_group=who.resource_group,
        public_url=at("https", listening.public(hostname), port),
        portal_url=at("http", LOOPBACK, _port(sockets[1])),
        other_urls=tuple(at("https", name, port) for name in names),
    )


def keyring_of(
    options: ServeOptions, files: ServeFiles, database: Database, chance: Chance
) -> tuple[Keyring, SealedFiles]:
    """The keys of this control plane; the recovery key's secret half is written once and left."""
    kek = key_encryption(options.kek, files.directory / "kek.key", chance)
    sealed = SealedFiles(files.directory, kek)
    signing = SigningKey(sealed.signing_key(chance))
    database.sign = signing.sign_record
    kept = files.directory / "recovery.public"
    if not kept.exists():
        pair = KeyPair.generate(chance)
        if not options.recovery_key.exists():
            write_recovery_key(options.recovery_key, RecoveryKey(pair, signing.public))
        recovery = RecoveryKey.from_text(options.recovery_key.read_text())
        if recovery.verify.raw != signing.public.raw:
            raise Precondition(
                f"{options.recovery_key} belongs to another installation",
                hint="move it away, or name another file with --recovery-key",
            )
        write_private(kept, recovery.pair.public.to_bytes())
    public = PublicKey.from_bytes(kept.read_bytes())
    return Keyring(database, kek, public, signing, sealed), sealed


def _first_start(
    control: Control, who: Identity, options: ServeOptions, files: ServeFiles
) -> None:
    """The administrator, the enrolment of the local agent, and connection.json."""
    subscription = f"/subscriptions/{who.subscription_id}"
    roles = [(OWNER.id, subscription)]
    identity.create_service_principal(
        control, identity.ADMINISTRATOR, who.client_id, who.client_secret, roles
    )
    ensure_administrator(control, subscription, options.connection)
    enrol = options.agent_enrol
    enrolled = files.directory / "agent-enrolled"
    if enrol is not None and not enrolled.exists():
        enrol.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_private(enrol, agents.new_enrol_token(control).encode() + b"\n")
        write_private(enrolled, b"")
    note_used(files)
    replace_private(options.connection, msgspec.json.encode(_connection(control, who, options)))


def _connection(control: Control, who: Identity, options: ServeOptions) -> dict[str, Any]:
    found = control.installation
    store = urlsplit(options.store_url)
    return {
        "portal": found.portal_url,
        "arm": found.public_url,
        "ca": str(options.data / "ca.pem"),
        "tenant": found.tenant_id,
        "subscription": found.subscription_id,
        "resourceGroup": found.resource_group,
        "location": found.location,
        "clientId": who.client_id,
        "clientSecret": who.client_secret,
        "blob": f"{store.scheme}://{store.netloc}",
        "blobAccount": store.path.strip("/"),
        "blobKey": base64.b64encode(options.account_key).decode(),
        "vault": who.vault,
        "dataDirectory": str(options.data.parent),
    }
