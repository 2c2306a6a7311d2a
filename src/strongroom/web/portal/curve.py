"""A curve over 1000 x 100, as SVG draws it."""

from collections.abc import Sequence


def curve_of(values: Sequence[float]) -> str:
    """The path through values at equal distances; the highest of them, if any, is the top."""
    most, steps = max(values, default=0) or 1, max(1, len(values) - 1)
    xy = [(at * 1000 / steps, 100 - 100 * value / most) for at, value in enumerate(values)]
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in xy)
