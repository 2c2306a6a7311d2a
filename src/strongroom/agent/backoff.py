"""How long to wait before the next try: full jitter, so that many agents do not come at once."""

from strongroom.model.seams import Chance

SHORTEST = 0.2  # seconds
LONGEST = 30.0


def pause_before(attempt: int, chance: Chance, *, longest: float = LONGEST) -> float:
    """Seconds, anywhere between nothing and 0.2 s doubled `attempt` times, `longest` at most."""
    ceiling = min(longest, SHORTEST * 2.0 ** min(attempt, 30))
    return ceiling * int.from_bytes(chance.bytes(4), "big") / 2**32
