"""Files of assertions, and when a drill is late."""

import pytest
from whenever import Instant

from strongroom.model.errors import Invalid
from strongroom.model.points.drill_turns import is_late
from strongroom.model.work.drill import MOST_TOLD, DrillResult, read_assertions

NOW = Instant.parse_iso("2026-03-01T00:00:00Z")
FILE = """\
-- What must be true of every point.
select count(*) > 0 from pg_class;

-- name: no order without lines
-- database: shop
select not exists (
  select from orders  -- of any state; also old ones
  where lines = 0
);
select max(at) > now() - interval '1 day' from orders;
"""


def test_a_file_of_queries_is_cut_where_a_line_ends_with_a_semicolon() -> None:
    first, second, third = read_assertions(FILE)
    assert (first.database, second.database, third.database) == ("postgres", "shop", "shop")
    assert first.query.endswith("select count(*) > 0 from pg_class")
    assert second.name == "no order without lines"
    assert "where lines = 0\n)" in second.query
    assert third.name == "select max(at) > now() - interval '1 day' from orders"


@pytest.mark.parametrize("text", ["select true", "select 1;\nselect true\n"])
def test_a_query_without_its_end_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="semicolon"):
        read_assertions(text)


def test_an_empty_file_asks_nothing_and_an_empty_query_is_refused() -> None:
    assert read_assertions("-- nothing\n\n") == []
    with pytest.raises(Invalid):
        read_assertions(";\n")


def test_of_many_problems_the_first_are_told_and_the_rest_counted() -> None:
    result = DrillResult(source_version=1)
    assert result.verdict == "Passed"
    for number in range(MOST_TOLD + 3):
        result.find(f"problem {number}")
    assert (result.verdict, len(result.problems), result.more_problems) == ("Failed", MOST_TOLD, 3)


@pytest.mark.parametrize(
    ("days", "oldest", "last", "late"),
    [
        (0, -1000, None, False),
        (7, None, None, False),
        (7, -7, None, False),
        (7, -9, None, True),
        (7, -1000, -8, False),
        (7, -1000, -9, True),
    ],
)
def test_a_drill_is_late_a_day_after_it_was_due(
    days: int, oldest: int | None, last: int | None, late: bool
) -> None:
    at = [None if ago is None else NOW.add(hours=24 * ago) for ago in (oldest, last)]
    assert is_late(days, at[0], at[1], NOW) is late
