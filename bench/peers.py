"""The peers, where this host has them: pgBackRest and restic as Debian ships them.

Both get what we give: encryption, compression, both cores. A host that lacks one gets a word in
place of its rows.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.ours import size_of

from integration.servers import Server
from strongroom.postgres.server import scratch

_REPOSITORY = """[global]
repo1-path={home}/repo
log-path={home}/log
lock-path={home}/lock
spool-path={home}/spool
compress-type=zst
compress-level=3
process-max=2
start-fast=y
repo1-cipher-type=aes-256-cbc
repo1-cipher-pass=bench-only-0123456789
archive-check=n
archive-copy=n
repo1-retention-full=100
log-level-console=warn

[demo]
pg1-path={server.data_directory}
pg1-port={server.port}
pg1-socket-path={server.home}
pg1-user=postgres
"""


class PgBackRest:
    """zst level 3, aes-256-cbc, two processes, a repository on the same disk.

    No WAL is kept but what is pushed.
    """

    def __init__(self, server: Server, home: Path) -> None:
        self.home = home
        self._config = home / "pgbackrest.conf"
        self._config.write_text(_REPOSITORY.format(home=home, server=server))
        for name in ("repo", "log", "lock", "spool"):
            (home / name).mkdir()
        self._user = scratch.server_user()
        self._give(home)
        self.run("stanza-create", "--no-online")

    def _give(self, place: Path) -> None:
        if os.geteuid() == 0:
            for path in (place, *place.rglob("*")):
                os.chown(path, self._user.uid, self._user.gid)

    def command(self, *words: str) -> list[str]:
        """Its command line."""
        return ["pgbackrest", f"--config={self._config}", "--stanza=demo", *words]

    def run(self, verb: str, *words: str) -> None:
        """As the user that PostgreSQL runs as."""
        command = self.command(verb, *words)
        as_user = {} if os.geteuid() else {"user": self._user.uid, "group": self._user.gid}
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, cwd="/", **as_user
        )
        if done.returncode:
            raise SystemExit(f"pgbackrest {verb}: {done.stdout[-600:]}{done.stderr[-600:]}")

    def back_up(self, kind: str = "full") -> None:
        """full or incr."""
        self.run("backup", f"--type={kind}")

    def restore(self, directory: Path) -> None:
        """The newest backup into a new directory."""
        directory.mkdir(mode=0o700)
        self._give(directory)
        self.run("restore", f"--pg1-path={directory}")

    @property
    def getting(self) -> str:
        """A restore_command for a server at HERE: segments are fetched ahead."""
        return " ".join(self.command("--pg1-path=HERE", "--archive-async", "archive-get %f %p"))

    def push(self, segment: Path) -> None:
        """A segment of the log into its archive."""
        self.run("archive-push", str(segment))

    def stored(self) -> int:
        """Bytes in its repository."""
        return size_of(self.home / "repo")


class Restic:
    """A repository on the same disk, with its own compression; it reads a dump on its stdin."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._environment = {
            **os.environ,
            "RESTIC_REPOSITORY": str(home / "repo"),
            "RESTIC_PASSWORD": "bench-only",
            "RESTIC_CACHE_DIR": str(home / "cache"),
        }
        subprocess.run(["restic", "init", "-q"], env=self._environment, check=True)

    def back_up(self, server: Server) -> None:
        """What `pg_dump -Fc -Z0` tells of the database, as ours is given it."""
        dump = [str(server.tools.program("pg_dump")), "-Fc", "-Z0", *place_of(server), "postgres"]
        with subprocess.Popen(dump, stdout=subprocess.PIPE) as program:
            subprocess.run(
                ["restic", "backup", "-q", "--stdin", "--stdin-filename", "postgres.dump"],
                stdin=program.stdout,
                env=self._environment,
                check=True,
            )
        assert program.returncode == 0

    def stored(self) -> int:
        """Bytes in its repository."""
        return size_of(self._home / "repo")


def place_of(server: Server) -> list[str]:
    """Options of PostgreSQL's programs."""
    return ["-h", str(server.home), "-p", str(server.port), "-U", "postgres"]


@contextmanager
def a_directory() -> Iterator[Path]:
    """A directory that PostgreSQL's user can reach."""
    home = Path(tempfile.mkdtemp(prefix="peer-", dir="/tmp"))
    home.chmod(0o755)
    try:
        yield home
    finally:
        shutil.rmtree(home)


@contextmanager
def a_pgbackrest(server: Server) -> Iterator[PgBackRest | None]:
    """None where it is not installed."""
    with a_directory() as home:
        yield PgBackRest(server, home) if shutil.which("pgbackrest") else None


@contextmanager
def a_restic() -> Iterator[Restic | None]:
    """None where it is not installed."""
    with a_directory() as home:
        yield Restic(home) if shutil.which("restic") else None


def versions() -> str:
    """One line about those that are here."""
    found = []
    for name in ("pgbackrest", "restic"):
        if shutil.which(name):
            done = subprocess.run([name, "version"], capture_output=True, text=True, check=True)
            found.append(" ".join(done.stdout.split()[:2]))
        else:
            found.append(f"{name} is not installed here, so its rows are missing")
    return "Peers: " + ", ".join(found) + "."
