import weakref

import pytest

from strongroom.agent.memory import LESSER, WHOLE, Memory


def test_whoever_runs_alone_takes_the_whole_share():
    memory = Memory()
    for _ in range(2):
        with memory.share() as share:
            assert share == WHOLE


def test_whoever_begins_beside_another_takes_the_lesser_share():
    memory = Memory()
    with memory.share(), memory.share() as second, memory.share() as third:
        assert (second, third) == (LESSER, LESSER)


def test_a_failed_operation_gives_its_share_back():
    memory = Memory()
    with pytest.raises(ZeroDivisionError), memory.share():
        assert 1 / 0
    with memory.share() as share:
        assert share == WHOLE


def test_what_an_operation_left_in_circles_is_let_go_once_it_is_reported():
    class Buffer:
        def __init__(self) -> None:
            self.owner = self

    memory = Memory()
    with memory.share():
        held = Buffer()
        watched = weakref.ref(held)
        del held
    memory.let_go()
    assert watched() is None
