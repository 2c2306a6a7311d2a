"""PostgreSQL's own programs, reading a scratch server: what they write is digested on its way."""

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from strongroom.model.errors import TargetError
from strongroom.postgres import scratch
from strongroom.postgres.beneath import refused
from strongroom.postgres.extract import ScratchServer

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Dumped:
    """One file that was written and synced."""

    path: Path
    size: int
    sha256: str


def dump_to_file(
    server: ScratchServer,
    database: str,
    program: str,
    words: Sequence[str],
    path: Path,
    watch: Callable[[int], None],
) -> Dumped:
    """Run a program against a database of the scratch server; its output becomes a new file.

    It runs as the user that the server runs as. `watch` is told of the bytes and may raise: the
    program is ended then. Raises TargetError with its words, TargetRefused and TargetFull.
    """
    digest, size = hashlib.sha256(), 0
    try:
        with path.open("xb") as file, tempfile.TemporaryFile() as said:
            path.chmod(0o600)
            with _running(server, database, [program, *words], said) as process:
                assert process.stdout is not None  # noqa: S101 - a pipe, asked for below
                try:
                    while chunk := process.stdout.read(_CHUNK):
                        file.write(chunk)
                        digest.update(chunk)
                        size += len(chunk)
                        watch(len(chunk))
                except BaseException:
                    process.kill()
                    raise
            _check(process.returncode, program, said)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise refused(error, path) from error
    return Dumped(path, size, digest.hexdigest())


def _running(
    server: ScratchServer, database: str, words: list[str], said: IO[bytes]
) -> "subprocess.Popen[bytes]":
    user = scratch.server_user(server.directory)
    drop = scratch.drop_to(user)
    return subprocess.Popen(
        [str(server.tools.program(words[0])), *words[1:]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=said,
        env={
            "PATH": "/usr/bin:/bin",
            "LC_ALL": "C.UTF-8",
            "PGCLIENTENCODING": "UTF8",
            **server.environment(database),
        },
        cwd="/",
        start_new_session=True,
        **drop,
    )


def _check(code: int, program: str, said: IO[bytes]) -> None:
    if code:
        said.seek(0)
        text = " ".join(said.read().decode(errors="replace").split())[-600:]
        raise TargetError(f"{program} failed: {text}", hint="Verify this recovery point.")
