"""What a control plane that somebody has taken over can have an agent do: S3's other half.

A real agent is given each order, as it was installed, and once its host has said how far it obeys.
Obeyed: it set about it, reached for the server, for storage, or for the keys of a point. Refused:
it failed by a rule of its own, before that.
"""

import contextlib
import dataclasses
import os
import socketserver
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent_world import AGENT_TOKEN, AgentWorld, Operation
from seams import SystemChance, SystemClock
from security_page import check_table
from strongroom.agent.bounds import bounded
from strongroom.agent.loop import Agent
from strongroom.agent.own_settings import OwnSettingsFile
from strongroom.agent.process import control_of, real_trades
from strongroom.agent.servers import ServerBook
from strongroom.agent.settings import Identity, Settings
from strongroom.datastore.packs.seal import KeyPair
from strongroom.model.errors import Invalid, NotFound, Precondition, TargetNotEmpty, TargetRefused
from strongroom.model.wal import StreamOrder
from strongroom.model.work.extract import ExtractOrder
from strongroom.model.work.logical import LoadOrder
from strongroom.model.work.long_term import LongTermOrder
from strongroom.model.work.operation import BackupOrder, RestoreOrder, ServerFacts, StorageAccess
from strongroom.model.work.plan import FilesLook, LookOrder
from strongroom.postgres.restore.restore import RestoredFile, RestoreTarget
from strongroom.postgres.restore.standing import check_stopped

pytestmark = pytest.mark.S3
SECRET = "hunter2secret"
FAR = "http://203.0.113.9:8080/account/container"  # documentation's, RFC 5737: nobody's
RULES = {kind.__name__ for kind in (Invalid, NotFound, Precondition, TargetRefused)}
OBEYED, REFUSED = "obeyed", "refused"
KEY = KeyPair.generate(SystemChance()).public
POINT = {"job_id": "j", "recovery_point_id": "1" * 32, "instance_id": "i" * 32}
POINT |= {"manifest_name": "p/x.manifest"}
ALSO: dict[str, Any] = {"i": "i" * 32}


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    touched = 0

    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever calls may hang up."""


class _Touched(socketserver.BaseRequestHandler):
    """Whoever calls is counted, and hung up on."""

    def handle(self) -> None:
        self.server.touched += 1  # type: ignore[attr-defined]


@contextlib.contextmanager
def listening() -> Iterator[_Server]:
    with _Server(("127.0.0.1", 0), _Touched) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class Taken(AgentWorld):
    """A control plane in a thief's hands: whatever agents tell it is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[bytes] = []

    def _do(self, verb: str, parts: list[str], body: bytes) -> msgspec.Struct | None:
        self.told.append(body)
        return super()._do(verb, parts, body)


@dataclasses.dataclass
class Host:
    """A database host with its agent."""

    home: Path
    world: Taken
    database: _Server
    storage: _Server

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.storage.server_address[1]}/account/container"

    def touched(self) -> int:
        return self.database.touched + self.storage.touched

    def give(self, orders: dict[str, Any], url: str = "") -> Operation:
        """One order, until it has failed or was obeyed."""
        sas = dict.fromkeys(("packs", "delta", "read", "wal", "files"), "sv=1&sig=a")
        access = StorageAccess(
            container_url=url or self.url, sas=sas, expires_at="2099-01-01T00:00:00Z"
        )
        before, world = self.touched(), self.world
        operation = Operation(f"op-{len(world.operations)}", orders, access, 30.0)
        with world.changed:
            world.operations[operation.id] = operation
            world.changed.notify_all()
        world.await_that(
            lambda: (
                operation.status in {"failed", "completed"}
                or operation.keys_asked
                or self.touched() > before
            ),
            60.0,
        )
        with world.changed:
            operation.cancel = True
        world.await_that(lambda: operation.status in {"failed", "completed"}, 60.0)
        return operation

    def cell(self, orders: dict[str, Any], url: str = "") -> str:
        before = self.touched()
        operation = self.give(orders, url)
        failure = operation.failure
        if failure is not None and failure.error["kind"] in RULES and not operation.keys_asked:
            assert failure.error["hint"] or "not" in failure.error["message"], failure
            return REFUSED
        assert operation.keys_asked or self.touched() > before or operation.result, failure
        return OBEYED


@contextlib.contextmanager
def a_host(home: Path, **bounds: Any) -> Iterator[Host]:
    roots = bounds.pop("restore_roots", ())
    with listening() as database, listening() as storage:
        settings = Settings(
            data=home / "agent",
            restore_roots=roots,
            poll_seconds=0.2,
            heartbeat_seconds=0.05,
            stop_seconds=0.2,
        )
        OwnSettingsFile(settings.own_file).change(lambda known: bounded(known, bounds))
        book = ServerBook(settings.servers_file)
        port = database.server_address[1]
        book.add("orders", f"host=127.0.0.1 port={port} user=u password={SECRET}", source="stream")
        world, clock, chance = Taken(), SystemClock(), SystemChance()
        identity = Identity(agent_id="a", agent_token=AGENT_TOKEN, control_url=world.url)
        trades = dataclasses.replace(
            real_trades(settings, identity, book, clock, chance),
            look=lambda _, name: ServerFacts(name=name, ready=True),
        )
        client = control_of(identity, chance)
        agent = Agent(settings, client, book, trades, clock, chance)
        thread = threading.Thread(target=agent.work)
        thread.start()
        try:
            yield Host(home, world, database, storage)
        finally:
            agent.stop()
            thread.join(60)
            world.close()
            client.close()


def backup(server: str = "orders") -> BackupOrder:
    keys = {"catalogue_key_id": KEY.key_id, "catalogue_public_key": KEY.to_bytes()}
    keys |= {"data_key_id": KEY.key_id, "data_public_key": KEY.to_bytes()}
    more = {"job_id": "j", "recovery_point_id": "1" * 32, "instance_id": "i" * 32}
    return BackupOrder(server=server, generation="g", delta_name="d/j.1.delta", **more, **keys)


def restore(place: str, **more: Any) -> dict[str, Any]:
    return {"restore": RestoreOrder(target_directory=place, **POINT, **more)}


def files_to(url: str) -> dict[str, Any]:
    return {"extract": ExtractOrder(target_url=url, **POINT)}


def stream() -> StreamOrder:
    return StreamOrder(
        server="orders", instance_id="i", data_key_id=KEY.key_id, data_public_key=KEY.to_bytes()
    )


class WithHook(BackupOrder, rename="camel", omit_defaults=True, kw_only=True):
    """As no version of the protocol has it."""

    hooks: dict[str, list[str]]
    command: list[str]


def a_command(host: Host) -> str:
    ran = host.home / "ran"
    words = ["/bin/touch", str(ran)]
    order = WithHook(**msgspec.structs.asdict(backup()), hooks={"pre": words}, command=words)
    host.give({"backup": order})
    return OBEYED if ran.exists() else REFUSED


def the_systems_places(host: Host) -> str:
    places = ["/etc/cron.d/x", "/usr/lib/systemd/system/x.d", "/run/x", "/", "/srv/app/.ssh"]
    link = host.home / "link"
    if not link.exists():
        link.symlink_to("/etc")
    found = {host.cell(restore(place)) for place in [*places, f"{link}/x"]}
    assert len(found) == 1
    return found.pop()


def what_is_full(host: Host) -> str:
    full = host.home / "full"
    full.mkdir(exist_ok=True)
    (full / "letter").touch()
    target = RestoreTarget(full, {}, "job")
    try:
        target.prepare([RestoredFile("PG_VERSION", 3, 0o600, 0, "other", "")], 3)
    except TargetNotEmpty:
        return REFUSED
    finally:
        target.close()
    return OBEYED


def a_server_that_runs(host: Host) -> str:
    runs = host.home / "runs"
    runs.mkdir(exist_ok=True)
    (runs / "postmaster.pid").write_text(f"{os.getpid()}\n")
    try:
        check_stopped(runs)
    except Precondition:
        return REFUSED
    return OBEYED


def a_look(host: Host) -> str:
    operation = host.give({"look": LookOrder(places=["/var/lib", "/var/tmp"])})
    assert operation.result is not None
    assert operation.result.look is not None
    seen = {(each.state, each.refused is None) for each in operation.result.look.places}
    assert len(seen) <= 2
    return OBEYED if any(open_ for _, open_ in seen) else REFUSED


def what_was_told(host: Host) -> str:
    """Of all that was asked before."""
    assert len(host.world.told) > 20
    secrets = (SECRET.encode(), AGENT_TOKEN.encode())
    return OBEYED if any(s in each for s in secrets for each in host.world.told) else REFUSED


ELSEWHERE = "https://127.0.0.1:9/account/container"
Try = Callable[[Host], str]
DEEDS: dict[str, tuple[Try, str]] = {
    "give an order of a kind that there is not": (lambda h: h.cell({}), ""),
    "run a command, or a hook of its own": (a_command, ""),
    "back up a server that the agent was not given": (
        lambda h: h.cell({"backup": backup("others")}),
        "",
    ),
    "have a server backed up to its own storage, sealed to its own key": (
        lambda h: h.cell({"backup": backup()}),
        "`--storage`",
    ),
    "have its log streamed there": (lambda h: h.cell({"stream": stream()}), "`--storage`"),
    "have packs put in the clear over a network": (
        lambda h: h.cell({"stream": stream()}, FAR),
        "",
    ),
    "have a server dumped into its own container, in the clear": (
        lambda h: h.cell(
            {
                "long_term": LongTermOrder(
                    server="orders", job_id="j", backup_name="b", target_url=ELSEWHERE
                )
            }
        ),
        "`--targets`",
    ),
    "have files of a point left in its own container or bucket": (
        lambda h: h.cell(files_to(ELSEWHERE)),
        "`--targets`",
    ),
    "have it look whether a container or bucket holds a name": (
        lambda h: h.cell(
            {"look": LookOrder(places=[], files=FilesLook(url=ELSEWHERE, names=["x"]))}
        ),
        "`--targets`",
    ),
    "have them left there without https": (lambda h: h.cell(files_to(FAR)), ""),
    "write what it likes into a new directory": (
        lambda h: h.cell(restore(str(h.home / "new"))),
        "`agent run --restore-root`",
    ),
    "write beneath `/etc`, `/usr`, `/run` and the like, or into a hidden directory": (
        the_systems_places,
        "",
    ),
    "write into a directory that holds something": (what_is_full, ""),
    "write over the directory of a server that runs": (a_server_that_runs, ""),
    "write over that of a server that stands still": (
        lambda h: h.cell(restore(str(h.home / "allowed" / "data"), in_place=True)),
        "`--refuse in-place`",
    ),
    "start a server from what it wrote, as that server's user": (
        lambda h: h.cell(restore(str(h.home / "allowed" / "data"), start=True)),
        "`--refuse start`",
    ),
    "have that server run a command or load a library, by a setting": (
        lambda h: h.cell(
            restore(str(h.home / "allowed" / "data"), settings={"archive_command": "touch x"})
        ),
        "",
    ),
    "load what it likes into a server, as the agent's role": (
        lambda h: h.cell({"load": LoadOrder(server="orders", **POINT)}),
        "`--refuse load`",
    ),
    "learn which directories there are": (a_look, "`agent run --restore-root`"),
    "learn a password, or the agent's token, from what it is told": (what_was_told, ""),
}


def test_what_a_hostile_control_plane_can_have_an_agent_do(tmp_path: Path) -> None:
    rows: dict[str, list[str]] = {}
    for each in ("installed", "bounded"):
        (tmp_path / each / "allowed").mkdir(parents=True)
    closed = {
        "refuse": ["in-place", "start", "load"],
        "storage": ["https://store.example.com:8445"],
        "targets": ["https://files.example.com/backups"],
        "restore_roots": (tmp_path / "bounded" / "allowed",),
    }
    with a_host(tmp_path / "installed") as open_, a_host(tmp_path / "bounded", **closed) as bound:
        for says, (attempt, by) in DEEDS.items():
            rows[says] = [attempt(open_), attempt(bound), by]
    assert all((installed == REFUSED) == (not by) for installed, _, by in rows.values()), rows
    assert {bound_ for _, bound_, _ in rows.values()} == {REFUSED}, rows
    columns = ["as installed", "once its host says so", "by"]
    check_table("a hostile control plane", columns, rows)
