"""What a restore would do, said before it is done; and what an agent sees of a target's places."""

from typing import Any

import msgspec


class _Message(msgspec.Struct, rename="camel", omit_defaults=True, kw_only=True):
    """Travels; unknown fields are ignored."""


class FilesLook(_Message):
    """Where files of a restore would be left, and their names; nothing is left there.

    The signature that opens a container comes with the lease, as it does for the restore.
    """

    url: str  # model/restore/files_place.py
    names: list[str]
    endpoint: str = ""  # of a bucket


class LookOrder(_Message):
    """Look at these absolute paths of the agent's host. Nothing is opened, nothing is changed."""

    places: list[str]
    files: FilesLook | None = None


class PlaceFacts(_Message):
    """One place: `state` is absent | empty | filled | other (no directory).

    holds: the first names in what is filled, for people.
    free_bytes: of the file system that it is on, or would be made on; `device` tells two apart.
    refused: why this agent would not restore there, VaultError.to_dict().
    runs: the server that runs in it, as what a restore over it would fail with; likewise.
    """

    path: str
    state: str
    free_bytes: int
    device: int
    refused: dict[str, Any] | None = None
    holds: str = ""
    runs: dict[str, Any] | None = None


class LookResult(_Message):
    """The places in the order's order, and where the agent itself keeps what is short-lived.

    files: what they would run into where they are to be left, VaultError.to_dict(); None: nothing.
    """

    places: list[PlaceFacts]
    scratch: PlaceFacts
    files: dict[str, Any] | None = None


class Caution(_Message):
    """What to think of before. A code of our own, and what to do."""

    code: str
    message: str
    hint: str = ""


class Check(_Message):
    """What was looked at and is well; `at`: when, ISO 8601 UTC, where that says something."""

    code: str
    message: str
    at: str = ""


class Estimate(msgspec.Struct, rename="camel", kw_only=True):
    """How long it takes, from what the same agent did before; `seconds` None: nothing to go by.

    measured: restores | in place | loads | extracts | tables | backups, `jobs` of them; of tables
    no bytes a second.
    """

    seconds: float | None = None
    bytes_per_second: float = 0.0
    measured: str = ""
    jobs: int = 0


class RestorePlan(msgspec.Struct, rename="camel", kw_only=True):
    """All sizes are bytes, and the most that it may come to, about.

    kind: Server | InPlace | Part | Files | Load. takes: what of the point, for people. target: a
    directory, or a server's name; empty when none was named. wal_bytes: replayed by recovery.
    free_bytes: on the file system of the target, as the agent sees it (tablespaces that go to
    others are warned of each for itself); None when the agent did not look.
    differing_bytes: in place, what has changed between the point and the newest one, about; None
    where nobody knows.
    """

    kind: str
    takes: str
    server: str
    point: str
    taken_at: str
    version_number: int
    databases: dict[str, int]
    target: str
    read_bytes: int
    write_bytes: int
    wal_bytes: int
    time: Estimate
    free_bytes: int | None = None
    differing_bytes: int | None = None
    tablespaces: dict[str, str] = {}
    moment: str = ""  # what was asked for in place of a point
    reached: str = ""  # what is there at the end
    timeline: int = 0  # on which it lies
    capped: bool = False  # less than was asked for: all there is
    log_bytes: int = 0  # stored bytes of log that are read for it
    warnings: list[Caution] = []
    checks: list[Check] = []
