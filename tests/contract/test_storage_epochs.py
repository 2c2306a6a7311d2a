"""Which epochs still have to lose their access, asked of both databases."""

import pytest
from whenever import Instant

from strongroom.catalog.basis.database import Database
from strongroom.catalog.work import agent_operations, agents, epochs

NOW = Instant.parse_iso("2026-01-01T00:00:00Z")
LATER = NOW.add(seconds=120)


@pytest.fixture
def leased(database: Database) -> Database:
    """One operation of each kind, in the first epoch."""
    agent = {"id": "agent-1", "name": "a", "token_hash": "h", "version": "1"}
    with database.writing() as connection:
        agents.add(connection, {**agent, "enrolled_at": NOW, "seen_at": NOW})
        for name in ("backup", "restore", "check"):
            row = {"id": name, "agent_id": "agent-1", "kind": name, "order": {"instanceId": "i"}}
            agent_operations.offer(connection, {**row, "created_at": NOW})
            agent_operations.lease(connection, "agent-1", "s", NOW, NOW.add(seconds=60))
    return database


def waiting(database: Database, operation: str | None = None) -> list[tuple[str, int, int]]:
    with database.reading() as connection:
        found = epochs.to_withdraw(connection, operation)
    return sorted((row["id"], row["withdrawn"], row["ended"]) for row in found)


def test_an_epoch_that_goes_on_keeps_its_access(leased: Database) -> None:
    assert waiting(leased) == []


def test_an_epoch_ends_when_its_operation_does_or_is_offered_or_leased_again(
    leased: Database,
) -> None:
    with leased.writing() as connection:
        agent_operations.end(connection, "backup", "failed", error={})
        agent_operations.end(connection, "check", "failed", error={})
        agent_operations.offer_again(connection, "restore")
    assert waiting(leased) == [("backup", 0, 1), ("restore", 0, 1)]
    assert waiting(leased, "restore") == [("restore", 0, 1)]
    with leased.writing() as connection:
        again = agent_operations.lease(connection, "agent-1", "s", NOW, LATER)
        assert again is not None
        assert (again["id"], again["epoch"]) == ("restore", 2)
    assert waiting(leased, "restore") == [("restore", 0, 1)]


def test_what_was_withdrawn_is_not_asked_for_again_and_the_mark_never_goes_back(
    leased: Database,
) -> None:
    with leased.writing() as connection:
        agent_operations.end(connection, "backup", "completed", result={})
        epochs.note_withdrawn(connection, "backup", 1)
        epochs.note_withdrawn(connection, "backup", 0)
    assert waiting(leased) == []
