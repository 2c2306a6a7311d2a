"""What is written is written in memory, the longest files come first, and nothing that stays is
looked at again and again.
"""

import atexit
import contextlib
import gc
from collections.abc import Generator

import pytest
from hypothesis import settings

import quick_room

# No test is about time: a busy machine must not fail one.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

LONGEST = ("journey", "integration", "contract", "house")

# Before anything is begun; the workers are told of it by their environment.
_ROOM = contextlib.ExitStack()
_ROOM.enter_context(quick_room.memory())
atexit.register(_ROOM.close)


def _turn(item: pytest.Item) -> int:
    parts = item.path.parts
    return next((n for n, room in enumerate(LONGEST) if room in parts), len(LONGEST))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is begun last must not be what everybody waits for."""
    items.sort(key=_turn)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is made for five thousand tests stays: to look for what can go takes a second each."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
