"""One field that finds whatever somebody has at hand: a name, a database, an id of a log line."""

import re
from collections.abc import Mapping
from itertools import pairwise

import msgspec
from whenever import Instant

from strongroom.catalog.points import finding
from strongroom.control.basis.control import Control
from strongroom.control.overview.fleet import Ship

_ID = re.compile(r"[0-9a-f-]{6,36}")  # the beginning of one


class Hit(msgspec.Struct, kw_only=True, frozen=True):
    """A point or a job of an instance. kind: of the job; empty for a point."""

    id: str
    ship: Ship
    at: Instant
    kind: str = ""


def find_by_id(control: Control, ships: Mapping[str, Ship], word: str) -> list[Hit]:
    """Points and jobs of `ships` (id -> instance) whose id begins so; none for what is no id."""
    if not _ID.fullmatch(word):
        return []
    plain = word.replace("-", "")
    with control.database.reading() as connection:
        points = finding.points(connection, plain)
        jobs = finding.jobs_of(connection, _dashed(plain))
    hits = [
        Hit(id=row["id"], ship=ships[row["instance_id"]], at=row["taken_at"])
        for row in points
        if row["instance_id"] in ships
    ]
    return hits + [
        Hit(id=row["id"], ship=ships[row["instance_id"]], at=row["started_at"], kind=row["kind"])
        for row in jobs
        if row["instance_id"] in ships
    ]


def _dashed(digits: str) -> str:
    """As a UUID is written; of its beginning as much as is there."""
    ends, parts = (0, 8, 12, 16, 20, 32), []
    for start, end in pairwise(ends):
        parts.append(digits[start:end])
        if len(digits) <= end:
            break
    return "-".join(parts)


def holding(control: Control, word: str) -> dict[str, list[str]]:
    """Instance -> the databases of its newest point that have this in their names."""
    if not word:
        return {}
    with control.database.reading() as connection:
        found = finding.databases(connection)
    fitting = {of: [name for name in names if word in name.lower()] for of, names in found.items()}
    return {of: names for of, names in fitting.items() if names}
