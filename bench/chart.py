"""A chart of bars as SVG text: no library, no script, readable on light and dark pages."""

from collections.abc import Sequence
from html import escape

_WIDTH, _LABEL, _ROW, _TOP = 720, 250, 26, 34
_OURS, _THEIRS = "#2f7d5b", "#8a8f98"


def bars(title: str, unit: str, rows: Sequence[tuple[str, float]]) -> str:
    """One bar for each (label, value); those whose label begins with "strongroom" stand out."""
    most = max(value for _, value in rows) or 1.0
    scale = (_WIDTH - _LABEL - 90) / most
    height = _TOP + _ROW * len(rows) + 8
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        'font-family="sans-serif" font-size="13" fill="#6b7078">',
        f'<text x="8" y="20" font-weight="bold">{escape(title)} ({escape(unit)})</text>',
    ]
    for number, (label, value) in enumerate(rows):
        top = _TOP + number * _ROW
        colour = _OURS if label.startswith("strongroom") else _THEIRS
        parts += [
            f'<text x="{_LABEL - 8}" y="{top + 15}" text-anchor="end">{escape(label)}</text>',
            f'<rect x="{_LABEL}" y="{top}" width="{max(1, value * scale):.0f}" height="20" '
            f'fill="{colour}"/>',
            f'<text x="{_LABEL + value * scale + 8:.0f}" y="{top + 15}">{value:.3g}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])
