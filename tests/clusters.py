"""Data directories as initdb makes them, made once in each kind: the others are copies.

A copy is a cluster of its own: it has another system identifier, in its control file and in each
segment of its log. Source: PostgreSQL src/include/catalog/pg_control.h, access/xlog_internal.h.
"""

import atexit
import functools
import os
import secrets
import shutil
import struct
import subprocess
import tempfile
import time
from pathlib import Path

import google_crc32c

from strongroom.postgres.server import scratch
from strongroom.postgres.server.tools import Tools

_LOG_IDENTIFIER = 24  # its place in a segment's first page; the control file begins with it


def initialise(tools: Tools, directory: Path, *options: str) -> None:
    """What `scratch.initialise` does, in a tenth of the time."""
    if any(option.startswith("--waldir") for option in options):
        scratch.initialise(tools, directory, "--no-sync", *options)
        return
    made = _made(tools, options)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", f"{made}/.", str(directory)], check=True)
    new = struct.pack("=Q", int(time.time()) << 32 | secrets.randbits(32))
    for segment in (directory / "pg_wal").glob("0*"):
        _write(segment, _LOG_IDENTIFIER, new)
    control = directory / "global" / "pg_control"
    data = control.read_bytes()
    end = _sum_of(data)
    data = new + data[8:end]
    _write(control, 0, data + struct.pack("=I", google_crc32c.value(data)))


@functools.cache
def _made(tools: Tools, options: tuple[str, ...]) -> Path:
    place = Path(tempfile.mkdtemp(prefix="cluster-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    place.chmod(0o755)
    if os.geteuid() == 0:
        user = scratch.server_user()
        os.chown(place, user.uid, user.gid)
    scratch.initialise(tools, place / "data", "--no-sync", *options)
    return place / "data"


def _sum_of(control: bytes) -> int:
    """Where its checksum lies, behind all that it is the sum of; each major has its own place."""
    return next(
        place
        for place in range(8, len(control) - 4, 4)
        if struct.unpack_from("=I", control, place)[0] == google_crc32c.value(control[:place])
    )


def _write(path: Path, place: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        file.write(data)
