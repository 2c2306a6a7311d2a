"""Log that is replayed: out of the vault, from the disk, and by pgbackrest's archive-get.

All begin with the same state of the server, and nothing in the page cache: neither the base,
which our restore writes past it, nor any log. What is counted is the server's own time from
"starting ... recovery" to "redo done": fetching is within it, copying the base is not.
"""

import re
import shutil
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from bench.peers import PgBackRest, a_directory, a_pgbackrest, versions
from bench.results import Told, against, of_times
from bench.wal_load import Streamed, as_much_as, at_full_speed, streamed
from bench.workload import cold, in_turn, run

from integration.servers import own, start_server
from ports import free_port
from strongroom.model.postgres import Lsn, Timeline, lsn_to_text
from strongroom.postgres.log.walstream import segment_name
from strongroom.postgres.restore.wal_recovery import await_recovered
from strongroom.postgres.server import scratch

ROUNDS = 3
SEGMENT = 16 << 20
OURS, LOCAL, COPIED = "strongroom", "lying in pg_wal", "cp from a directory"
THEIRS = "pgbackrest archive-get, asynchronous"
_PGBENCH_SECONDS = 10
_AT = re.compile(
    r"^(\S+ \S+) UTC .*(?:starting (?:archive|point-in-time) recovery|redo done at)", re.M
)


def measure(gigabytes: float) -> Told:
    """So much log, three rounds."""
    settings = {"shared_buffers": "512MB", "max_wal_size": "4GB", "wal_keep_size": "16GB"}
    settings |= {"log_timezone": "UTC", "max_wal_senders": "10"}
    with (
        start_server(15, **settings) as server,
        streamed(server) as log,
        a_pgbackrest(server) as peer,
        a_directory() as root,
    ):
        run(server, "pgbench", "-i", "-q", "-s", "15")
        log.person.ok("backup", "orders", "--full")
        _as_owner(root)
        run(server, "pg_basebackup", "-D", str(root / "base"), "-c", "fast", "-X", "none")
        start = log.position()
        at_full_speed(server, _PGBENCH_SECONDS)
        as_much_as(server, int(gigabytes * 1e9) - (log.position() - start))
        end = log.end()
        server.sql("select pg_switch_wal()")
        log.kept(end)
        contest = _Contest(log, peer, root, (start, end))
        return _told(end - start, in_turn(ROUNDS, contest.contenders(), leaving=root / "targets"))


def _as_owner(root: Path) -> None:
    own(root)
    for name in ("targets", "log"):
        (root / name).mkdir()
        own(root / name)


class _Contest:
    """Each contender recovers a new copy of the base up to the same position."""

    def __init__(
        self, log: Streamed, peer: PgBackRest | None, root: Path, place: tuple[int, int]
    ) -> None:
        self._log, self._server, self._peer, self._root = log, log.server, peer, root
        self._end = place[1]
        self._segments = []
        for at in range(place[0] - place[0] % SEGMENT - SEGMENT, place[1] + 1, SEGMENT):
            name = segment_name(Timeline(1), Lsn(at), SEGMENT)
            found = self._server.data_directory / "pg_wal" / name
            if found.exists():
                shutil.copyfile(found, root / "log" / name)
                own(root / "log" / name)
                self._segments.append(root / "log" / name)

    def contenders(self) -> dict[str, Callable[[int], float]]:
        """Told the round's number -> seconds."""
        found = {
            OURS: self._ours,
            LOCAL: lambda number: self._theirs(number, "false", lying=True),
            COPIED: lambda number: self._theirs(number, f"cp {self._root}/log/%f %p"),
        }
        peer = self._peer
        if peer is not None:
            for each in self._segments:
                peer.push(each)
            found[THEIRS] = lambda number: self._theirs(number, peer.getting)
        return found

    def _ours(self, number: int) -> float:
        target = self._root / "targets" / f"ours-{number}"
        cold(self._log.person.data)
        where = ["--at-lsn", lsn_to_text(Lsn(self._end)), "--to-dir", str(target), "--yes"]
        self._log.person.ok("restore", "orders", *where, "--start", "--port", str(free_port()))
        return self._ended(target)

    def _theirs(self, number: int, command: str, *, lying: bool = False) -> float:
        target = self._root / "targets" / f"{len(command)}-{number}"
        command = command.replace("HERE", str(target))
        shutil.copytree(self._root / "base", target)
        for each in self._segments if lying else ():
            shutil.copyfile(each, target / "pg_wal" / each.name)
        (target / "recovery.signal").touch()
        with (target / "postgresql.auto.conf").open("a") as file:
            file.write(f"restore_command = '{command}'\nhot_standby = off\n")
            file.write(f"recovery_target_lsn = '{lsn_to_text(Lsn(self._end))}'\n")
            file.write("recovery_target_action = promote\n")
        for each in (target, *target.rglob("*")):
            own(each)
        target.chmod(0o700)
        cold(target, self._root / "log", *([self._peer.home] if self._peer else []))
        scratch.start(self._server.tools, target, port=free_port(), socket_directory=target)
        await_recovered(target, time.sleep)
        return self._ended(target)

    def _ended(self, target: Path) -> float:
        """Seconds that its log tells of; the server is stopped."""
        told = scratch.start_log(target).read_text()
        scratch.stop(self._server.tools, target, "immediate")
        assert len(_AT.findall(told)) == 2, told
        begun, done = (datetime.fromisoformat(at) for at in _AT.findall(told))
        return (done - begun).total_seconds()


def _told(size: int, times: dict[str, list[float]]) -> Told:
    lines, median = of_times(times, [OURS])
    mine = median[OURS]
    return Told(
        title="Log replayed",
        text=[f"PostgreSQL 15, {size / 1e9:.2f} GB of log. {versions()}", "", *lines],
        ratios=[
            *against(
                "log fetched and replayed vs replayed from the disk", 1.1, mine, median[LOCAL]
            ),
            *against(
                "log fetched and replayed vs pgbackrest archive-get", 1.0, mine, median.get(THEIRS)
            ),
        ],
        bars=list(median.items()),
    )
