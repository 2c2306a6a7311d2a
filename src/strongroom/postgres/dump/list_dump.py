"""A dump's table of contents, which is its head, as PostgreSQL's own pg_restore reads it."""

import contextlib
import os
import re
import subprocess
import tempfile
from collections.abc import Collection, Iterable
from pathlib import Path

from strongroom.model.errors import TargetError, TargetRefused, VaultError
from strongroom.postgres.server.tools import Tools

_WORDS = 400
_LISTED = re.compile(r"^(\d+;) \d+ \d+ SUBSCRIPTION - ", re.MULTILINE)  # name and owner follow
_CREATED = re.compile(r'^CREATE SUBSCRIPTION (?:"((?:[^"]|"")+)"|(\S+)) CONNECTION', re.MULTILINE)


def list_dump(tools: Tools, pieces: Iterable[bytes]) -> str:
    """What pg_restore objects to; empty when it can read it.

    `pieces`: the dump from its beginning; no more of them are taken than it reads. What they raise
    goes through, and no program is left.
    """
    command = [str(tools.program("pg_restore")), "--list"]
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=words,
            env=_environment(),
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


def owners_in(tools: Tools, dump: Path, roles: Collection[str]) -> set[str]:
    """Those of the roles that may own something in a dump: an entry ends with its owner.

    Raises TargetError when the dump cannot be read.
    """
    lines = _said(tools, "--list", str(dump)).splitlines() if roles else []
    entries = [line for line in lines if not line.startswith(";")]
    return {role for role in roles if any(entry.endswith(f" {role}") for entry in entries)}


def subscriptions_left_out(tools: Tools, dump: Path, database: str) -> list[VaultError]:
    """What is to be told when a dump is loaded without its subscriptions; nothing of one that has
    none. Two servers would take turns at one slot of their publisher.

    Raises TargetError when the dump cannot be read. The list of contents does not quote: where a
    name ends and its owner begins only the statement tells.
    Source: PostgreSQL src/bin/pg_dump/pg_backup_archiver.c, PrintTOCSummary.
    """
    entries = _LISTED.findall(_said(tools, "--list", str(dump)))
    if not entries:
        return []
    with tempfile.NamedTemporaryFile("w") as wanted:
        wanted.writelines(f"{entry}\n" for entry in entries)
        wanted.flush()
        made = _said(tools, f"--use-list={wanted.name}", "--file=-", str(dump))
    names = [quoted.replace('""', '"') or plain for quoted, plain in _CREATED.findall(made)]
    return [
        TargetRefused(
            f"subscriptions of database {database} were left out: {', '.join(names[:20])}",
            hint="Where this server is to take over from the old one, make them by hand: "
            "CREATE SUBSCRIPTION ... WITH (create_slot = false).",
        )
    ]


def definitions_in(tools: Tools, dump: Path) -> str:
    """What a dump makes before its rows come and after, as SQL. Raises TargetError."""
    return _said(tools, "--schema-only", "--file=-", str(dump))


def _said(tools: Tools, *words: str) -> str:
    command = [str(tools.program("pg_restore")), *words]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, env=_environment(), check=False
    )
    if done.returncode:
        told = done.stderr.decode(errors="replace").strip()[-_WORDS:]
        raise TargetError(f"the table of contents of a dump cannot be read: {told}")
    return done.stdout.decode(errors="replace")


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"}
