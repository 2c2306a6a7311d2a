"""PostgreSQL's own programs, reading a scratch server: what they write goes to a callable."""

import subprocess
import tempfile
from collections.abc import Callable, Sequence
from typing import IO

from strongroom.model.errors import TargetError
from strongroom.postgres.part.scratch_server import ScratchServer
from strongroom.postgres.server import scratch
from strongroom.postgres.server.client import reason_in

_CHUNK = 1 << 20


def dump_to(
    server: ScratchServer,
    database: str,
    program: str,
    words: Sequence[str],
    write: Callable[[bytes], None],
) -> None:
    """Run a program against a database of the scratch server; its output is written in pieces.

    It runs as the user that the server runs as. `write` may raise: the program is ended then.
    Raises TargetError with its words.
    """
    with tempfile.TemporaryFile() as said:
        with _running(server, database, [program, *words], said) as process:
            assert process.stdout is not None  # noqa: S101 - a pipe, asked for below
            try:
                while chunk := process.stdout.read(_CHUNK):
                    write(chunk)
            except BaseException:
                process.kill()
                raise
        _check(process.returncode, program, said)


def _running(
    server: ScratchServer, database: str, words: list[str], said: IO[bytes]
) -> "subprocess.Popen[bytes]":
    user = scratch.server_user(server.directory)
    program = [str(server.tools.program(words[0])), *words[1:]]
    command, drop = scratch.command_as(user, program)
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=said,
        env={
            "PATH": "/usr/bin:/bin",
            "LC_ALL": "C.UTF-8",
            **_encoding(server, database, words),
            **server.environment(database),
        },
        cwd="/",
        start_new_session=True,
        **drop,
    )


def _encoding(server: ScratchServer, database: str, words: list[str]) -> dict[str, str]:
    """A dump is in the database's own encoding: not all of its bytes need to have a place in
    UTF-8. Names that are asked for are told in UTF-8, as roles are.
    """
    with server.connect(database) as connection:
        own = connection.info.parameter_status("server_encoding") or "UTF8"
    plain = words[0] == "pg_dump" and all(word.isascii() for word in words)
    return {"PGCLIENTENCODING": own if plain or own == "SQL_ASCII" else "UTF8"}


def _check(code: int, program: str, said: IO[bytes]) -> None:
    if code:
        said.seek(0)
        text = said.read().decode(errors="replace")
        raise TargetError(
            f"{program} failed: {reason_in(text)}", hint="Verify this recovery point."
        )
