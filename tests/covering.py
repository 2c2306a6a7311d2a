"""Covering arrays: any two levels that can meet do meet in some row. A seed gives one array."""

import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

Row = dict[str, Any]
Factors = Mapping[str, Sequence[Any]]
Allowed = Callable[[Row], bool]  # asked of rows that are not complete yet, too
_CANDIDATES = 30


def covering(factors: Factors, allowed: Allowed, seed: int, strength: int = 2) -> list[Row]:
    """Rows that hold every possible combination of `strength` levels."""
    chance = random.Random(seed)
    left = dict.fromkeys(_combinations(factors, allowed, strength))
    rows = []
    while left:
        start = dict(next(iter(left)))
        grown = [_grow(start, factors, allowed, left, chance) for _ in range(_CANDIDATES)]
        best = max(grown, key=lambda row: len(_held(row, strength) & left.keys()))
        for combination in _held(best, strength):
            left.pop(combination, None)
        rows.append({name: best[name] for name in factors})
    return rows


def one_of_each(rows: Sequence[Row], factor: str) -> list[Row]:
    """A row for each level of a factor, such that together they hold many pairs."""
    chosen: list[Row] = []
    held: set[frozenset[Any]] = set()
    for level in dict.fromkeys(row[factor] for row in rows):
        fitting = [row for row in rows if row[factor] == level]
        best = max(fitting, key=lambda row: len(_held(row, 2) - held))
        chosen.append(best)
        held |= _held(best, 2)
    return chosen


def _combinations(factors: Factors, allowed: Allowed, strength: int) -> Iterator[frozenset[Any]]:
    for names in itertools.combinations(factors, strength):
        for levels in itertools.product(*(factors[name] for name in names)):
            row = dict(zip(names, levels, strict=True))
            if _can_be_whole(row, factors, allowed):
                yield frozenset(row.items())


def _held(row: Row, strength: int) -> set[frozenset[Any]]:
    return {frozenset(some) for some in itertools.combinations(row.items(), strength)}


def _grow(
    start: Row, factors: Factors, allowed: Allowed, left: Mapping[Any, None], chance: random.Random
) -> Row:
    row, names = dict(start), [name for name in factors if name not in start]
    chance.shuffle(names)
    strength = len(next(iter(left)))
    for name in names:
        fitting = [
            level
            for level in chance.sample(list(factors[name]), len(factors[name]))
            if _can_be_whole({**row, name: level}, factors, allowed)
        ]
        row[name] = max(
            fitting,
            key=lambda level: len(_held({**row, name: level}, strength) & left.keys()),
        )
    return row


def _can_be_whole(row: Row, factors: Factors, allowed: Allowed) -> bool:
    if not allowed(row):
        return False
    name = next((name for name in factors if name not in row), None)
    if name is None:
        return True
    return any(_can_be_whole({**row, name: level}, factors, allowed) for level in factors[name])
