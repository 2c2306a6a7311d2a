"""Real PostgreSQL servers for tests, of any major version, as the user that PostgreSQL accepts.

    with start_server(18, wal_level="minimal", max_wal_senders=0) as server:
        server.sql("select 1")

The fixture `postgres_server` (conftest.py) gives one plain server a major version for the session.
Programs come from where the product looks for them; what the host lacks is fetched into the cache.
"""

import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

import clusters
from ports import free_port
from strongroom.model.errors import ToolsMissing
from strongroom.postgres.server import scratch
from strongroom.postgres.server.connect import Conninfo
from strongroom.postgres.server.tools import Tools, find_tools, install

ALL_MAJORS = (14, 15, 16, 17, 18)
_ALL = os.environ.get("STRONGROOM_ALL_MAJORS") == "1"
MAJORS = ALL_MAJORS if _ALL else (14, 15, 18)
# (rows, digest of all rows) of a table. One sum of all: a sum of each row costs twice as much.
DIGEST = """select count(*), md5(string_agg(t::text collate "C", '' order by t::text collate "C"))
from {} t"""
_QUICK = {"fsync": "off", "shared_buffers": "32MB", "max_wal_size": "256MB"}


def some(*majors: int, of: tuple[int, ...] = ALL_MAJORS) -> tuple[int, ...]:
    """These major versions in the tests; all of them in the campaign."""
    return of if _ALL else majors


def tools_of(major: int) -> Tools:
    try:
        return find_tools(major)
    except ToolsMissing:
        return install(major)


def own(path: Path) -> Path:
    """To the user that PostgreSQL runs as."""
    if os.geteuid() == 0:
        user = scratch.server_user()
        os.chown(path, user.uid, user.gid)
    return path


@contextlib.contextmanager
def open_directory() -> Iterator[Path]:
    """A short path that the server's user can reach and write."""
    directory = Path(tempfile.mkdtemp(prefix="sr-"))
    directory.chmod(0o755)
    try:
        yield own(directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@dataclass
class Server:
    """A server on this host; its sockets lie in `home`, beside its data directory."""

    tools: Tools
    data_directory: Path
    home: Path
    port: int
    pid: int = 0

    @property
    def conninfo(self) -> str:
        return f"host={self.home} port={self.port} user=postgres dbname=postgres"

    @property
    def tcp(self) -> str:
        return f"host=127.0.0.1 port={self.port} dbname=postgres"

    def parsed(self, **more: str) -> Conninfo:
        return Conninfo.parse(self.conninfo).changed(**more)

    @contextlib.contextmanager
    def connect(self, database: str = "postgres") -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(self.conninfo, dbname=database, autocommit=True) as connection:
            yield connection

    def sql(self, *statements: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run statements -> the rows of the last, when it has some."""
        with self.connect(database) as connection:
            for statement in statements:
                cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def digests(self, database: str = "postgres") -> dict[str, tuple[int, str]]:
        """Table -> (rows, digest of all rows)."""
        names = self.sql(
            "select quote_ident(schemaname) || '.' || quote_ident(tablename) from pg_tables "
            "where schemaname not in ('pg_catalog', 'information_schema') order by 1",
            database=database,
        )
        return {name: self.sql(DIGEST.format(name), database=database)[0] for (name,) in names}

    def replace_hba(self, *lines: str) -> None:
        """Rules of access for TCP; the local socket stays trusted."""
        text = "local all all trust\nlocal replication all trust\n" + "".join(
            f"{line}\n" for line in lines
        )
        (self.data_directory / "pg_hba.conf").write_text(text)
        self.sql("select pg_reload_conf()", "select pg_sleep(0.1)")

    def configure(self, **settings: Any) -> None:
        with (self.data_directory / "postgresql.conf").open("a") as file:
            for name, value in settings.items():
                file.write(f"{name} = '{value}'\n")

    def start(self) -> None:
        found = scratch.start(
            self.tools, self.data_directory, port=self.port, socket_directory=self.home
        )
        self.pid = found.pid

    def stop(self, mode: str = "fast") -> None:
        if self.is_running():
            scratch.stop(self.tools, self.data_directory, mode)

    def is_running(self) -> bool:
        return scratch.is_running(self.tools, self.data_directory)

    def kill(self) -> None:
        """As if its host had lost power: no server process is left to say goodbye."""
        for process in [self.pid, *children(self.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        (self.data_directory / "postmaster.pid").unlink()


def children(pid: int) -> list[int]:
    """Processes that it has begun."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(") ")[2].split()
            if int(fields[1]) == pid:
                found.append(int(stat.parent.name))
    return found


@contextlib.contextmanager
def start_server(
    major: int, *, options: tuple[str, ...] = (), **settings: Any
) -> Iterator[Server]:
    """A new server; `options` are initdb's, `settings` go to postgresql.conf."""
    tools = tools_of(major)
    with open_directory() as home:
        server = Server(tools, home / "data", home, free_port())
        clusters.initialise(tools, server.data_directory, *options)
        ours = {**_QUICK, "unix_socket_directories": home, "listen_addresses": "127.0.0.1"}
        server.configure(**{**ours, **settings})
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")


@contextlib.contextmanager
def run_restored(source: Server, directory: Path, **settings: Any) -> Iterator[Server]:
    """A data directory that was restored, started beside its source on a port of its own."""
    with open_directory() as home:
        server = Server(source.tools, directory, home, free_port())
        if settings:
            server.configure(**settings)
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")
