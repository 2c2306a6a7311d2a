"""The longest files first: what is begun last must not be what everybody waits for."""

import pytest

LONGEST = ("journey", "integration", "contract", "house")


def _turn(item: pytest.Item) -> int:
    parts = item.path.parts
    return next((n for n, room in enumerate(LONGEST) if room in parts), len(LONGEST))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_turn)
