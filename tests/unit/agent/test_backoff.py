from seams import SeededChance
from strongroom.agent.backoff import LONGEST, pause_before


class Highest:
    def bytes(self, count: int) -> bytes:
        return b"\xff" * count


def test_a_pause_doubles_with_each_try_up_to_its_bound():
    ceilings = [round(pause_before(attempt, Highest()), 3) for attempt in range(10)]
    assert ceilings == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0]


def test_pauses_are_spread_over_the_whole_range():
    pauses = [pause_before(20, SeededChance(seed)) for seed in range(200)]
    assert min(pauses) < LONGEST / 10
    assert max(pauses) > LONGEST * 9 / 10


def test_many_tries_overflow_nothing():
    assert pause_before(10**9, Highest()) <= LONGEST
