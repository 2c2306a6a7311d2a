"""A whole physical backup: the base backup on one connection, its write-ahead log on another."""

from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass

from strongroom.model.errors import SourceStopped, SourceUnsupported
from strongroom.model.seams import Clock
from strongroom.postgres.backup.basebackup import base_backup
from strongroom.postgres.log.walstream import LogWindow, WalWindow
from strongroom.postgres.server.connect import Conninfo
from strongroom.postgres.server.events import Ended, Event, Started, WalEvent, Warned

_ABANDON_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Way:
    """What the files are read by: the stream, or the disk (local.py); and what the log."""

    base: Callable[..., Generator[Event, None, None]] = base_backup  # as `BaseBackup`
    window: Callable[[Conninfo, Clock], LogWindow] = WalWindow


_STREAM = Way()


def physical_backup(
    conninfo: Conninfo,
    label: str,
    wal: Callable[[WalEvent], None],
    clock: Clock,
    *,
    watch: Callable[[], None] = lambda: None,
    way: Way = _STREAM,
) -> Generator[Event, None, None]:
    """Read the whole server and the log of the window, such that it can be recovered alone.

    `way`: what reads the files, perhaps only what has changed since a parent, and what the log.

    Events of the base backup come out of the iterator; those of the log go to `wal`, in a thread
    of its own, once `Started` was taken (`pg_wal/...`, whole files). `Ended` comes when both are
    whole. What `wal` raises is raised here. `watch` is called about once a second while waiting.

    Close the iterator (contextlib.closing) to give up; a `wal` that is blocked must be released
    first. Raises what `base_backup` and `WalWindow.events` raise.
    """
    with way.window(conninfo, clock) as log, ThreadPoolExecutor(1, "wal") as pool:
        side = _Side(log, wal, pool)

        def watch_both() -> None:
            watch()
            side.check()

        try:
            read = way.base(log.same_server(), label, watch=watch_both)
            with closing(read):
                for event in read:
                    side.check()
                    if isinstance(event, Started):
                        _check_same(log, event)
                    if isinstance(event, Ended):
                        side.finish(event, watch)
                    yield event
                    if isinstance(event, Started):
                        side.start(event)  # whoever listens has settled where the log goes
                        if log.warning is not None:
                            yield Warned(log.warning)
        finally:
            side.end()


def _check_same(window: LogWindow, started: Started) -> None:
    if started.system_identifier != window.system.identifier:
        raise SourceUnsupported(
            "two connections led to two different servers",
            hint="Name one host in the connection string, not a balancer before several.",
        )


class _Side:
    """The log's thread."""

    def __init__(
        self, window: LogWindow, wal: Callable[[WalEvent], None], pool: ThreadPoolExecutor
    ) -> None:
        self._window = window
        self._wal = wal
        self._pool = pool
        self._future: Future[None] | None = None

    def start(self, started: Started) -> None:
        self._future = self._pool.submit(self._run, started)

    def check(self) -> None:
        """Raise what ended the thread, if something did."""
        if self._future is not None and self._future.done():
            self._future.result()

    def finish(self, ended: Ended, watch: Callable[[], None]) -> None:
        """Wait until the log reaches the stop of the backup."""
        self._window.stop_at(ended.stop_lsn)
        if self._future is None:
            raise SourceStopped("the backup ended before it began")
        while not wait([self._future], timeout=0.5).done:
            watch()
        self._future.result()

    def end(self) -> None:
        """Whatever happened: no thread is left on the connection."""
        if self._future is not None and not self._future.done():
            self._window.abandon()
            wait([self._future], timeout=_ABANDON_SECONDS)

    def _run(self, started: Started) -> None:
        with closing(self._window.events(started.start_lsn, started.timeline)) as events:
            for event in events:
                self._wal(event)
