"""Who tells what where: one process at a time, and nobody again once it is told."""

from whenever import Instant

from strongroom.catalog.basis.database import Database
from strongroom.catalog.oversight import tellings

NOW = Instant.parse_iso("2026-01-01T00:00:00Z")
SOON = NOW.add(seconds=300)


def claim(database: Database, at: Instant, *places: str) -> list[str]:
    with database.writing() as connection:
        return tellings.claim(connection, "it", places, at, at.add(seconds=300))


def test_a_place_is_given_to_one_until_it_is_told_let_go_or_left(database: Database) -> None:
    assert claim(database, NOW, "mail", "hook") == ["mail", "hook"]
    assert claim(database, NOW, "mail", "hook", "pager") == ["pager"]
    with database.writing() as connection:
        assert tellings.settle(connection, "it", {"mail"}, {"hook"}, NOW) == {"mail"}
    assert claim(database, NOW, "mail", "hook", "pager") == ["hook"]
    assert claim(database, SOON, "mail", "hook", "pager") == ["hook", "pager"]
    with database.writing() as connection:
        everybody = {"mail", "hook", "pager"}
        assert tellings.settle(connection, "it", {"hook", "pager"}, set(), SOON) == everybody
        tellings.forget(connection, SOON.add(hours=1))
    assert claim(database, SOON, "mail") == ["mail"]
