"""What a restore that ended early leaves, and what to do: told by whoever tells its end."""

import shlex
from collections.abc import Sequence


def left_in_place(directory: str) -> str:
    """Of a restore over a server's own data directory."""
    return (
        f"{directory} is unfinished and its server cannot start: the next restore with "
        "--in-place, of this or another point, finishes it."
    )


def left_in(places: Sequence[str]) -> str:
    """Of a restore into new directories."""
    return (
        "What is there is unfinished, and no server can start in it: before another restore goes "
        f"there, rm -r {' '.join(map(shlex.quote, places))}"
    )
