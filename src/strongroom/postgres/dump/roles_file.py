"""Roles as a managed server takes them: who owns a server may not hand out what only it has.

Azure, AWS and the like give nobody SUPERUSER, REPLICATION or BYPASSRLS, and refuse a script that
says a word of them, even that a role has it not. Nor does the role that granted there exist here,
and a password of the source is nobody's business. Source: `pg_dumpall --globals-only`'s output.
"""

import re
from collections.abc import Callable

from strongroom.postgres.dump.load import role_statements, statements_of

_REFUSED = frozenset(
    (b"SUPERUSER", b"NOSUPERUSER", b"REPLICATION", b"NOREPLICATION", b"BYPASSRLS", b"NOBYPASSRLS")
)
_ROLE = rb'(?:"(?:[^"]|"")+"|[^\s";]+)'
_ALTER = re.compile(
    rb"ALTER ROLE " + _ROLE + rb" WITH (?P<words>[A-Z ]+?)(?P<rest> [A-Z]+ [^A-Z].*)?;"
)
_PASSWORD = re.compile(rb" PASSWORD '(?:[^']|'')*'")
_GRANT = re.compile(rb"(?P<grant>GRANT " + _ROLE + rb" TO .*?) GRANTED BY " + _ROLE + rb";")

_TABLESPACE = re.compile(
    r"((CREATE|ALTER|COMMENT ON|SECURITY LABEL .* ON) TABLESPACE|GRANT .* ON TABLESPACE)\s",
    re.DOTALL,
)


def cleaned(script: bytes) -> bytes:
    """The same script without what a managed server refuses."""
    found = bytearray()
    cleaning = Cleaning(found.extend)
    cleaning.feed(script)
    cleaning.end()
    return bytes(found)


def roles_script(globals_sql: str) -> str:
    """What `pg_dumpall --globals-only` says of roles, a statement after the other."""
    statements = (each for each in role_statements(globals_sql) if not _of_tablespace(each))
    return "".join(f"{statement};\n" for statement in statements)


def tablespaces_script(globals_sql: str) -> str:
    """What it says of tablespaces."""
    statements = filter(_of_tablespace, statements_of(globals_sql))
    return "".join(f"{statement};\n" for statement in statements)


def _of_tablespace(statement: str) -> bool:
    return _TABLESPACE.match(statement) is not None


class Cleaning:
    """`cleaned`, for a script that comes in pieces."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._rest = b""

    def feed(self, piece: bytes) -> None:
        """The next bytes of it."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        if lines:
            self._write(b"".join(b"%b\n" % _line(line) for line in lines))

    def end(self) -> None:
        """There was no more."""
        self._write(_line(self._rest))


def _line(line: bytes) -> bytes:
    granted = _GRANT.fullmatch(line)
    if granted is not None:
        return granted["grant"] + b";"
    found = _ALTER.fullmatch(line)
    if found is None:
        return line
    words = b" ".join(word for word in found["words"].split() if word not in _REFUSED)
    start, end = found.span("words")
    return line[:start] + words + _PASSWORD.sub(b"", line[end:])
