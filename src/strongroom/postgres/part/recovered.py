"""A scratch server's start, under our own configuration, and its end.

Nothing leads out: a socket in a private directory is the only door, nothing of the source's
configuration is read, and the directory is thrown away at the end.
"""

import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from strongroom.postgres.part.scratch_server import PORT, ScratchServer
from strongroom.postgres.server import scratch

START_SECONDS = 3600  # recovery included
_CONNECTIONS = 20
_PREPARED = 1000  # transactions at the source, which recovery finds again
# Beside two for each file. Room for all of them is made ready at every start: more than it takes.
_LOCKS, _LOCKS_OF_A_TABLE = 65_000, 5_000
# Its version, and how many transactions the source lets be prepared, as 14 to 18 have them.
# Source: PostgreSQL src/include/catalog/pg_control.h.
_CONTROL = struct.Struct("=8xI180xI")
_CONTROL_VERSIONS = {1300, 1700, 1800}
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "port": str(PORT),
    "shared_buffers": "64MB",
    "huge_pages": "off",
    "fsync": "off",  # nothing here outlives us
    "full_page_writes": "off",
    "max_wal_size": "64GB",
    "checkpoint_timeout": "1d",
    "archive_mode": "off",
    "autovacuum": "off",  # it would read what is not there
    "autovacuum_freeze_max_age": "2000000000",
    "autovacuum_multixact_freeze_max_age": "2000000000",
    "max_logical_replication_workers": "0",
    "max_connections": str(_CONNECTIONS),
    "ignore_invalid_pages": "on",
    "restart_after_crash": "off",
    "lc_messages": "C",
    "log_min_messages": "warning",
    "logging_collector": "off",
    "jit": "off",
}


@contextmanager
def recovered(
    server: ScratchServer,
    settings: Mapping[str, str] | None = None,
    *,
    seconds: int = START_SECONDS,
    for_a_table: bool = False,
) -> Iterator[ScratchServer]:
    """Within: it runs, with `settings` over ours, and without network where it can.

    `for_a_table`: nothing is read but one, with its children, and no log beyond the point.
    Raises TargetError with its last words when it does not recover, in so many seconds.
    """
    directory = server.directory
    _settle(server, settings or {}, for_a_table=for_a_table)
    try:
        scratch.start(server.tools, directory, timeout=seconds, network=False)
        yield server
    finally:
        if (directory / "postmaster.pid").exists():
            scratch.stop(server.tools, directory, "immediate")


def _settle(server: ScratchServer, settings: Mapping[str, str], *, for_a_table: bool) -> None:
    """Our configuration in place of the source's: the directory is ours alone."""
    directory = server.directory
    places = {"unix_socket_directories": str(server.sockets)}
    ours = {**_SETTINGS, **_room(directory, for_a_table=for_a_table), **settings, **places}
    quoted = ((name, value.replace("'", "''")) for name, value in ours.items())
    lines = "".join(f"{name} = '{value}'\n" for name, value in quoted)
    texts = {
        "postgresql.conf": lines,
        "postgresql.auto.conf": "",
        "pg_hba.conf": "local all all trust\n",
        "pg_ident.conf": "",
    }
    user = scratch.server_user(directory)
    for name, text in texts.items():
        path = directory / name
        path.write_text(text)
        path.chmod(0o600)
        if os.geteuid() == 0:
            os.chown(path, user.uid, user.gid)


def _room(directory: Path, *, for_a_table: bool) -> dict[str, str]:
    """For prepared transactions and for locks.

    A dump locks every table, and has as many as files of relations are there, or fewer.
    """
    files = sum(
        len(names)
        for top in ("base", "pg_tblspc")
        for _, _, names in os.walk(directory / top, followlinks=True)
    )
    is_little = for_a_table and _prepares_none(directory)
    prepared = 0 if is_little else _PREPARED
    locks = 2 * files + (_LOCKS_OF_A_TABLE if is_little else _LOCKS)
    return {
        "max_prepared_transactions": str(prepared),
        "max_locks_per_transaction": str(-(-locks // (_CONNECTIONS + prepared))),
    }


def _prepares_none(directory: Path) -> bool:
    """Whether the source allows no prepared transaction, as almost all do."""
    with (directory / "global" / "pg_control").open("rb") as file:
        start = file.read(_CONTROL.size)
    if len(start) < _CONTROL.size:
        return False
    version, allowed = _CONTROL.unpack(start)
    return version in _CONTROL_VERSIONS and allowed == 0
