"""Whether PostgreSQL's own pg_restore can read a dump's table of contents, which is its head."""

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterable

from strongroom.postgres.tools import Tools

_WORDS = 400


def list_dump(tools: Tools, pieces: Iterable[bytes]) -> str:
    """What pg_restore objects to; empty when it can read it.

    `pieces`: the dump from its beginning; no more of them are taken than it reads. What they raise
    goes through, and no program is left.
    """
    environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"}
    command = [str(tools.program("pg_restore")), "--list"]
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=words,
            env=environment,
            cwd="/",
        )
        assert process.stdin is not None  # noqa: S101 - a pipe was asked for
        try:
            with contextlib.suppress(BrokenPipeError):  # it has read what it needs
                for piece in pieces:
                    process.stdin.write(piece)
                    process.stdin.flush()
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            code = process.wait()
        finally:
            process.kill()
            process.wait()
        words.seek(0)
        said = " ".join(words.read(1 << 16).decode(errors="replace").split())[-_WORDS:]
    return (said or f"pg_restore ended with {code}") if code else ""
