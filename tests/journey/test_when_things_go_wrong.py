"""Each trouble is told clearly, with what to do next, and leaves nothing in the way.

The whole house with its command line and API: how the trouble is brought about (trouble.py), the
exit code or status, words that must be said; then a good backup or restore, and the oracle.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from journey import trouble
from journey.trouble import Outcome, Scene, a_scene
from oracle import check

pytestmark = [pytest.mark.postgres, pytest.mark.journey]


@dataclass(frozen=True)
class Case:
    """`then` is what must succeed afterwards: backup, restore."""

    trouble: Callable[[Scene], Outcome]
    code: int
    words: tuple[str, ...]
    then: str = "backup"


CASES = [
    Case(
        trouble.wrong_password,
        1,
        ("the server refuses the password of keeper", "fix: Correct it in the connection string"),
    ),
    Case(
        trouble.no_replication,
        0,
        ("the role plain may not replicate", "fix: Run as a superuser: ALTER ROLE plain"),
    ),
    Case(
        trouble.no_hba_entry,
        0,
        ("pg_hba.conf lets keeper", "host replication keeper 127.0.0.1/32 scram-sha-256"),
    ),
    Case(
        trouble.minimal_log,
        0,
        ("wal_level is minimal", "fix: Set wal_level = replica", "it is backed up by dumps"),
    ),
    Case(
        trouble.unsupported_version,
        1,
        ("PostgreSQL 13 is not supported", "Upgrade the server"),
    ),
    Case(trouble.server_stops, 0, ("recovery point ",)),
    Case(trouble.log_is_gone, 1, ("write-ahead log", "max_slot_wal_keep_size, which must")),
    Case(trouble.expired_access, 403, ("AuthenticationFailed", "not valid in its time frame")),
    Case(trouble.storage_full, 1, ("the storage endpoint is full", "hint: free space")),
    Case(trouble.storage_down, 0, ("is Completed",)),
    Case(
        trouble.flipped_bit,
        1,
        ("is not what was written", "hint: Restore another recovery point"),
        "restore",
    ),
    Case(
        trouble.filled_target,
        1,
        ("is not empty: it holds precious", "hint: Restore into a new directory"),
        "restore",
    ),
    Case(
        trouble.small_target,
        1,
        ("the restore needs", "40,960 free", "hint: Free some, or restore to another"),
        "restore",
    ),
    Case(
        trouble.unknown_point,
        3,
        ("ffffffff", "hint: ", "strongroom points"),
        "restore",
    ),
    Case(trouble.malformed_json, 400, ("JSON", "recommendedAction")),
    Case(trouble.no_api_version, 400, ("MissingApiVersionParameter", "add ?api-version=")),
]


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with a_scene() as found:
        yield found


@pytest.mark.parametrize("case", CASES, ids=[case.trouble.__name__ for case in CASES])
def test_trouble_is_told_with_the_next_step_and_leaves_nothing_in_the_way(
    scene: Scene, case: Case
) -> None:
    found = case.trouble(scene)
    assert found.code == case.code, found.text
    assert [words for words in case.words if words not in found.text] == [], found.text
    assert trouble.PASSWORD not in found.text
    check(scene.oracle)
    after = scene.restore() if case.then == "restore" else scene.backup()
    assert after.code == 0, after.text
    check(scene.oracle)


def test_after_all_of_it_the_oracle_is_content(scene: Scene) -> None:
    """Last: every point of the house, byte by byte."""
    check(scene.oracle, "deep")
