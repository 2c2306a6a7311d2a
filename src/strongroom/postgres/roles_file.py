"""Roles as a managed server takes them: who owns a server may not hand out what only it has.

Azure, AWS and the like give nobody SUPERUSER, REPLICATION or BYPASSRLS, and refuse a script that
says a word of them, even that a role has it not. Source: `pg_dumpall --roles-only`'s own output.
"""

import re

_REFUSED = frozenset(
    {"SUPERUSER", "NOSUPERUSER", "REPLICATION", "NOREPLICATION", "BYPASSRLS", "NOBYPASSRLS"}
)
_ROLE = r'(?:"(?:[^"]|"")+"|[^\s";]+)'
_ALTER = re.compile(rf"ALTER ROLE {_ROLE} WITH (?P<words>[A-Z ]+?)(?P<rest> [A-Z]+ [^A-Z].*)?;")


def cleaned(script: str) -> str:
    """The same script without attributes that a managed server refuses."""
    return "".join(f"{_line(line)}\n" for line in script.splitlines())


def _line(line: str) -> str:
    found = _ALTER.fullmatch(line)
    if found is None:
        return line
    words = [word for word in found["words"].split() if word not in _REFUSED]
    start, end = found.span("words")
    return f"{line[:start]}{' '.join(words)}{line[end:]}"
