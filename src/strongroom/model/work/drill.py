"""The order to restore a recovery point into a throw-away server and try it, and what comes of it.

Lease.drill DrillOrder -> Completion.drill DrillResult
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from whenever import Instant

from strongroom.model.errors import Invalid

PASSED, FAILED = "Passed", "Failed"
TRUE = "true"
# What the server of a drill could reach: nothing, or (it listens nowhere, but) what this host can.
NO_NETWORK, HOST_NETWORK = "None", "Host"
MOST_ASSERTIONS, LONGEST_QUERY, LONGEST_NAME = 100, 10_000, 120
MOST_TOLD = 50  # problems that are told one by one
MOST_TABLES = 5000  # whose rows are told one by one
_NOTE = re.compile(r"--\s*(name|database):\s*(\S.*?)\s*", re.IGNORECASE)


class _Message(msgspec.Struct, rename="camel", omit_defaults=True, kw_only=True):
    """As every message of the agent's protocol."""


class Assertion(_Message):
    """A query that must answer one row of one column, and that true. It can read, and no more."""

    name: str
    query: str
    database: str = "postgres"


class DrillOrder(_Message):
    """Try a point. `server`: whose own assertions on the agent's host are asked as well."""

    job_id: str
    recovery_point_id: str
    instance_id: str
    manifest_name: str  # p/<recovery point id>.manifest
    server: str = ""
    assertions: list[Assertion] = []


class TableCount(_Message):
    """Rows of one table, which is `schema.name`."""

    database: str
    table: str
    rows: int


class Answer(_Message):
    """What an assertion answered: true, false, null, or why it did not."""

    name: str
    database: str
    answer: str


class DrillResult(_Message):
    """What was done, and what was found; an empty `problems` is the proof.

    seconds: by step (restore, recover, check, count, ask). ready_seconds: until the server took
    connections, what a restore of this point takes on this host. relations, indexes: that amcheck
    has read, each index against all of its table. warnings: VaultError.to_dict() of what could
    not be tried here, such as an extension that this host lacks. network: what the server could
    reach.
    """

    source_version: int
    server_version: str = ""
    problems: list[str] = []
    more_problems: int = 0
    warnings: list[dict[str, Any]] = []
    databases: int = 0
    relations: int = 0
    indexes: int = 0
    rows: int = 0
    tables: list[TableCount] = []
    more_tables: int = 0
    answers: list[Answer] = []
    seconds: dict[str, float] = {}
    ready_seconds: float = 0.0
    written_bytes: int = 0
    fetched_bytes: int = 0
    network: str = ""

    @property
    def verdict(self) -> str:
        """Passed, or Failed."""
        return FAILED if self.problems else PASSED

    def find(self, problem: str) -> None:
        """One more thing that is wrong; of very many just the number is kept."""
        if len(self.problems) < MOST_TOLD:
            self.problems.append(problem[:600])
        else:
            self.more_problems += 1


class Drill(msgspec.Struct, kw_only=True, frozen=True):
    """A drill that came to a verdict, as the catalogue keeps it; `result` is a DrillResult's.

    evidence: the signed object that lies under evidence_name, JSON.
    """

    id: str
    instance_id: str
    recovery_point_id: str
    began_at: Instant
    ended_at: Instant
    verdict: str
    result: dict[str, Any]
    evidence_name: str
    evidence_blake3: bytes
    evidence: bytes

    @property
    def statement(self) -> dict[str, Any]:
        """The signed object as JSON has it; written in its one form it is the same bytes."""
        told: dict[str, Any] = msgspec.json.decode(self.evidence)
        return told


def read_assertions(text: str) -> list[Assertion]:
    """A file of queries, each ending with a semicolon at the end of a line.

    A line `-- name: …` names the next query, `-- database: …` says where it and those after it are
    asked (`postgres` before any). Raises Invalid.
    """
    found: list[Assertion] = []
    name, database, lines = "", "postgres", list[str]()
    for line in text.splitlines():
        note = _NOTE.fullmatch(line.strip())
        if note is not None:
            if note[1].lower() == "name":
                name = note[2]
            else:
                database = note[2]
            continue
        lines.append(line)
        if line.rstrip().endswith(";"):
            query = "\n".join(lines).strip().removesuffix(";").strip()
            found.append(Assertion(name=name or _short(query), query=query, database=database))
            name, lines = "", []
    if any(line.strip() and not line.strip().startswith("--") for line in lines):
        raise Invalid(
            "the last query does not end with a semicolon",
            hint="End each query with a semicolon at the end of its line.",
        )
    return check_assertions(found)


def assertions_of(value: object) -> list[Assertion]:
    """As a request brings them: a list of {name, query, database}; none when absent."""
    if value is None:
        return []
    try:
        return check_assertions(msgspec.convert(value, list[Assertion]))
    except msgspec.ValidationError as error:
        raise Invalid(
            f"assertions cannot be read: {error}",
            hint="Send a list of objects: name, query, database.",
        ) from error


def check_assertions(asked: Sequence[Assertion]) -> list[Assertion]:
    """The same. Raises Invalid for what is empty, too long or too many."""
    if len(asked) > MOST_ASSERTIONS:
        raise Invalid(
            f"{len(asked)} assertions are too many", hint=f"Give {MOST_ASSERTIONS} or fewer."
        )
    for each in asked:
        if not each.query.strip() or len(each.query) > LONGEST_QUERY:
            raise Invalid(
                f"assertion {each.name[:40]!r} is empty or too long",
                hint=f"Write a query of at most {LONGEST_QUERY} characters that answers true.",
            )
        if not each.name or len(each.name) > LONGEST_NAME or not each.database:
            raise Invalid(
                f"assertion {each.name[:40]!r} lacks a name or a database",
                hint=f"Give both; a name has at most {LONGEST_NAME} characters.",
            )
    return list(asked)


def _short(query: str) -> str:
    return " ".join(query.split())[:LONGEST_NAME]


def by_name(answers: Sequence[Answer]) -> Iterator[str]:
    """Those that are not true, for people."""
    for each in answers:
        if each.answer != TRUE:
            yield f"assertion {each.name!r} of {each.database}: {each.answer}"
