"""Bytes as people read them, the same in alerts, plans, the digest and the portal."""

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")  # powers of 1000


def told_size(count: float) -> str:
    """1.22 TB: three digits that count."""
    value, unit = float(count), 0
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    text = f"{value:.0f}" if unit == 0 or value >= 99.95 else f"{value:.3g}"
    return f"{text} {_UNITS[unit]}"
