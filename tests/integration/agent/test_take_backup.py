"""What can go wrong while a backup is taken: a typed failure, and nothing left behind."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent_story import Server, a_server, an_open_directory
from seams import SystemChance, SystemClock
from strongroom.agent.backup.physical import take_backup
from strongroom.agent.held_lease import HeldLease
from strongroom.agent.servers import ServerBook
from strongroom.datastore.maps.delta import open_delta
from strongroom.datastore.packs.seal import KeyPair
from strongroom.datastore.places.blobs import MemoryBlobs
from strongroom.model.errors import (
    Cancelled,
    Invalid,
    NotFound,
    ObjectExists,
    SourceRefused,
    SourceStopped,
    SourceUnreachable,
    StoreDenied,
    StoreError,
    StoreFull,
    StoreQuotaReached,
    StoreUnavailable,
)
from strongroom.model.work.operation import BackupOrder, Completion, Lease
from strongroom.postgres.server import scratch

pytestmark = pytest.mark.postgres

CATALOGUE = KeyPair.generate(SystemChance())
DATA = KeyPair.generate(SystemChance())


class TrippedBlobs(MemoryBlobs):
    """Before the `at`-th create, `act` happens; what it raises is what the store answers."""

    def __init__(self, at: int, act: Callable[[], None]) -> None:
        super().__init__()
        self._at = at
        self._act = act
        self._count = 0

    def create(self, name, data) -> None:
        with self._lock:
            self._count += 1
            now = self._count == self._at
        if now:
            self._act()
        super().create(name, data)


class TrippedLease(HeldLease):
    """Once, after `at` bytes, `act` happens in the reading thread: the rest is not there yet."""

    def __init__(self, act: Callable[[], None], at: int = 8 << 20) -> None:
        super().__init__(None, a_lease(), SystemClock(), 5.0)
        self._act = act
        self._at = at
        self.tripped = threading.Event()

    def check(self) -> None:
        if self.progress.done_bytes > self._at and not self.tripped.is_set():
            self.tripped.set()
            self._act()
        super().check()


def fails_with(error: StoreError) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    with an_open_directory() as root:
        yield root


@pytest.fixture(scope="module")
def running(root) -> Iterator[Server]:
    with a_server(root) as server:
        server.run(
            "create table bulk (noise bytea)",
            "alter table bulk alter noise set storage external",
            "insert into bulk select decode(string_agg(md5(random()::text), ''), 'hex') "
            "from generate_series(1, 4000000) n group by n % 400",
            "create role plain login",
            "create role sleeper login replication",
            "checkpoint",
        )
        yield server


@pytest.fixture
def server(running) -> Iterator[Server]:
    """The server runs before each test, and nobody is connected after it."""
    if not scratch.is_running(running.tools, running.directory):
        home = running.directory.parent
        scratch.start(running.tools, running.directory, port=running.port, socket_directory=home)
    yield running
    if scratch.is_running(running.tools, running.directory):
        until = time.monotonic() + 5
        while left := left_at(running):
            assert time.monotonic() < until, left
            time.sleep(0.05)
    names = [thread.name.rpartition("_")[0] for thread in threading.enumerate()]
    assert not {"seal", "send", "wal"} & set(names)


def left_at(server: Server) -> list[str]:
    with server.connect() as connection:
        rows = connection.execute(
            "select backend_type || ' ' || application_name from pg_stat_activity "
            "where backend_type = 'walsender' or application_name = 'strongroom' "
            "union all select slot_name::text from pg_replication_slots"
        )
        return [text for (text,) in rows]


@pytest.fixture
def book(server, tmp_path) -> ServerBook:
    book = ServerBook(tmp_path / "servers.json")
    book.add("orders", server.conninfo)
    return book


def an_order(**more) -> BackupOrder:
    fields = {
        "server": "orders",
        "job_id": "job-1",
        "recovery_point_id": "1" * 32,
        "instance_id": "2" * 32,
        "generation": "1" * 32,
        "delta_name": "d/job-1.1.delta",
        "catalogue_key_id": CATALOGUE.public.key_id,
        "catalogue_public_key": CATALOGUE.public.to_bytes(),
        "data_key_id": DATA.public.key_id,
        "data_public_key": DATA.public.to_bytes(),
        **more,
    }
    return BackupOrder(**fields)


def a_lease(**more) -> Lease:
    return Lease(operation_id="op-1", epoch=1, backup=an_order(**more))


def a_held(**more) -> HeldLease:
    return HeldLease(None, a_lease(**more), SystemClock(), 5.0)


def take(book, blobs, held=None) -> Completion:
    held = held or a_held()
    return take_backup(held, book, lambda held, scope: blobs, SystemClock(), SystemChance())


def test_a_backup_ends_in_one_delta_that_the_catalogue_key_opens(book):
    blobs = MemoryBlobs()
    result = take(book, blobs).backup
    delta = open_delta(blobs.read("d/job-1.1.delta"), CATALOGUE)
    assert len(delta.packs) == result.packs == len(list(blobs.list("g/")))
    assert all(pack.size == blobs.size(pack.name) for pack in delta.packs)


def test_progress_counts_up_to_all_that_was_read(book):
    held = a_held()
    result = take(book, MemoryBlobs(), held).backup
    assert held.progress.done_bytes == held.progress.total_bytes > 50_000_000
    assert 0 < held.progress.files <= result.files


@pytest.mark.parametrize(
    "error",
    [
        StoreDenied("the credential has expired"),
        StoreFull("no space"),
        StoreQuotaReached("put as much as it may"),
        StoreUnavailable("not reachable"),
    ],
    ids=lambda error: error.code,
)
@pytest.mark.parametrize("at", [1, 3])
def test_a_refusing_store_fails_the_backup_with_its_own_error(book, error, at):
    blobs = TrippedBlobs(at, fails_with(error))
    with pytest.raises(type(error), match=error.message):
        take(book, blobs)
    assert not list(blobs.list("d/"))


def test_a_delta_that_is_there_already_is_an_answer_that_was_lost(book):
    class Forgetful(MemoryBlobs):
        def create(self, name, data) -> None:
            super().create(name, data)
            if name.startswith("d/"):
                raise ObjectExists("exists already")

    blobs = Forgetful()
    result = take(book, blobs).backup
    assert result.delta_size == blobs.size("d/job-1.1.delta")


def test_a_server_that_dies_midway_fails_the_backup_as_stopped(book, server):
    blobs = MemoryBlobs()
    with pytest.raises(SourceStopped):
        take(book, blobs, TrippedLease(lambda: server.stop("immediate")))
    assert not list(blobs.list("d/"))


def test_a_log_connection_that_dies_midway_fails_the_backup(book, server):
    def end_log() -> None:
        server.run(
            "select pg_terminate_backend(active_pid) from pg_replication_slots "
            "where slot_name like 'strongroom%'"
        )

    with pytest.raises(SourceStopped):
        take(book, MemoryBlobs(), TrippedLease(end_log))


def test_a_cancelled_backup_stops_within_moments(book):
    blobs = MemoryBlobs()
    held = TrippedLease(lambda: held.stop(Cancelled("cancelled")))
    with pytest.raises(Cancelled):
        take(book, blobs, held)
    assert not list(blobs.list("d/"))


def test_a_backup_that_is_blocked_in_a_frozen_server_is_woken_when_cancelled(book, server):
    frozen: list[int] = []

    def freeze() -> None:
        with server.connect() as connection:
            rows = connection.execute(
                "select pid from pg_stat_activity where backend_type = 'walsender'"
            ).fetchall()
        for (pid,) in rows:
            os.kill(pid, signal.SIGSTOP)
            frozen.append(pid)

    held = TrippedLease(freeze)
    raised: list[BaseException] = []

    def attempt() -> None:
        with pytest.raises((Cancelled, SourceStopped)) as caught:
            take(book, MemoryBlobs(), held)
        raised.append(caught.value)

    thread = threading.Thread(target=attempt)
    thread.start()
    try:
        assert held.tripped.wait(20)
        time.sleep(1.0)
        assert thread.is_alive()
        held.stop(Cancelled("cancelled"))
        thread.join(5)
        assert not thread.is_alive()
        assert raised
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
        thread.join(20)


def test_a_server_that_is_down_is_unreachable(book, server):
    server.stop("immediate")
    with pytest.raises((SourceUnreachable, SourceStopped)):
        take(book, MemoryBlobs())


def test_a_role_that_may_not_replicate_is_refused_with_the_remedy(book, server):
    book.add("plain", server.conninfo.replace("user=postgres", "user=plain"))
    with pytest.raises(SourceRefused) as caught:
        take(book, MemoryBlobs(), a_held(server="plain"))
    assert "REPLICATION" in caught.value.hint


def test_a_server_that_the_agent_does_not_look_after_is_not_found(book):
    with pytest.raises(NotFound):
        take(book, MemoryBlobs(), a_held(server="elsewhere"))


@pytest.mark.parametrize("which", ["data_key_id", "catalogue_key_id"])
def test_a_key_under_another_keys_id_is_refused(book, which):
    with pytest.raises(Invalid):
        take(book, MemoryBlobs(), a_held(**{which: b"0" * 16}))
