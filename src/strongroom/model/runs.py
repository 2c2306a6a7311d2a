"""Stretches without a gap among many numbers that ascend."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def runs(numbers: Sequence[int] | NDArray[np.uint32]) -> list[tuple[int, int]]:
    """(first, how many) of each stretch, in order."""
    found = np.asarray(numbers, dtype=np.int64)
    if not len(found):
        return []
    begins = np.concatenate(([0], np.flatnonzero(np.diff(found) != 1) + 1))
    lengths = np.diff(np.append(begins, len(found)))
    return list(zip(found[begins].tolist(), lengths.tolist(), strict=True))
