"""A curve over 1000 x 100, and a band around it, as SVG draws them."""

from collections.abc import Sequence


def curve_of(values: Sequence[float], top: float = 0.0) -> str:
    """The path through values at equal distances; `top`, or the highest of them, is the top."""
    return "M" + "L".join(_points(values, top or max(values, default=0)))


def band_between(low: Sequence[float], high: Sequence[float], top: float) -> str:
    """The area between two curves of as many values."""
    there, back = _points(high, top), _points(low, top)[::-1]
    return "M" + "L".join([*there, *back]) + "Z"


def _points(values: Sequence[float], top: float) -> list[str]:
    most, steps = top or 1, max(1, len(values) - 1)
    xy = [(at * 1000 / steps, 100 - 100 * value / most) for at, value in enumerate(values)]
    return [f"{x:.1f} {y:.1f}" for x, y in xy]
