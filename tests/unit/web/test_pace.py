"""So much at once, then so much a second; and a log that nobody fills."""

import pytest
from structlog.testing import capture_logs

from seams import FakeClock
from strongroom.model.errors import SlowDown
from strongroom.web.pace import Pace
from strongroom.web.refusals import Refusals


def test_who_has_used_up_what_they_may_at_once_gets_more_by_the_second() -> None:
    clock = FakeClock()
    pace = Pace(clock, at_once=10, a_second=2)
    for _ in range(10):
        pace.take("a")
    with pytest.raises(SlowDown) as refused:
        pace.take("a")
    assert refused.value.facts["retry_after_seconds"] == 0.5
    pace.take("b")
    clock.advance(0.5)
    pace.take("a")
    with pytest.raises(SlowDown):
        pace.take("a")
    clock.advance(3600)
    for _ in range(10):
        pace.take("a")


def test_a_thousand_servers_are_protected_without_a_wait() -> None:
    clock = FakeClock()
    pace = Pace(clock)
    for _ in range(6000):  # six calls for each, in no time at all
        pace.take("administrator")


def test_the_log_names_so_many_refusals_a_second_and_counts_the_others() -> None:
    clock = FakeClock()
    refusals = Refusals(clock, a_second=2)
    with capture_logs() as logs:
        for _ in range(5):
            refusals.tell(status=401, code="X", path="/a\x1b[2J\u202e" + "b" * 900)
        clock.advance(1.0)
        refusals.tell(status=401, code="X", path="/")
    assert [log.get("left_out", 0) for log in logs] == [0, 0, 3]
    assert len(logs[0]["path"]) < 320
    assert logs[0]["path"].isprintable()
    assert logs[0]["path"].isascii()
