"""What was measured: kept as results.json, told as RESULTS.md and one chart for each bench."""

import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from bench.chart import bars

HERE = Path(__file__).parent
_STORE = HERE / "results.json"
_HEAD = """# Measured

Written by `make bench`. Read the ratios: each is of medians, taken in turn in one run on one
machine, and the seconds are that machine's. "met" compares with the targets that we set ourselves.

| measure | measured | at most | |
|---|---|---|---|
"""
_MARKS = ("<!-- written by make bench -->", "<!-- to here -->")


class Ratio(msgspec.Struct):
    """A line of the summary."""

    measure: str
    found: float
    target: float
    unit: str = "x"


class Told(msgspec.Struct):
    """What one bench has to tell: `text` is Markdown, `bars` (label, value) are its chart."""

    title: str
    text: list[str]
    ratios: list[Ratio] = []
    bars: list[tuple[str, float]] = []
    unit: str = "s"
    peak_mib: float = 0.0


def keep(name: str, told: Told, order: Sequence[str]) -> None:
    """Lay it over what the last run of this bench told, and write everything in that order."""
    told.text = [machine(), "", *told.text]
    found = {**_known(), name: told}
    known = {each: found[each] for each in order if each in found}
    _STORE.write_bytes(msgspec.json.format(msgspec.json.encode(known), indent=1) + b"\n")
    (HERE / "RESULTS.md").write_text(_page(known))
    if told.bars:
        (HERE / f"{name}.svg").write_text(bars(told.title, told.unit, told.bars))


def into_readme(page: Path) -> None:
    """Put the measured ratios between the page's two marks."""
    before, _, rest = page.read_text().partition(_MARKS[0])
    _, _, after = rest.partition(_MARKS[1])
    told = [ratio for each in _known().values() for ratio in each.ratios]
    ratios = [ratio for ratio in told if ratio.unit == "x"]
    lines = table(["measured", "ours / theirs"], [_short(ratio) for ratio in ratios])
    page.write_text("\n".join([before + _MARKS[0], *lines, _MARKS[1] + after]))


def _short(ratio: Ratio) -> list[str]:
    return [ratio.measure, f"{ratio.found:.2f}"]


def machine() -> str:
    """One line about where this runs."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    return (
        f"{os.cpu_count()} cores, {memory} GiB of memory, {platform.system()} "
        f"{platform.machine()}, Python {platform.python_version()}."
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def of_times(
    times: Mapping[str, Sequence[float]], ours: Sequence[str]
) -> tuple[list[str], dict[str, float]]:
    """(table of seconds and of the ratio of each of ours to each line, the medians)."""
    median = {name: statistics.median(found) for name, found in times.items() if found}
    rows = []
    for name, seconds in median.items():
        ratios = [f"{median[each] / seconds:.2f}" for each in ours]
        runs = " ".join(f"{found:.2f}" for found in times[name])
        rows.append([name, f"{seconds:.2f}", runs, *ratios])
    head = ["what", "median s", "of", *(f"{each} / it" for each in ours)]
    return table(head, rows), median


def against(measure: str, target: float, ours: float, peer: float | None) -> list[Ratio]:
    """The line of the summary, when there was a peer."""
    return [] if peer is None else [Ratio(measure, ours / peer, target)]


def _known() -> dict[str, Told]:
    if not _STORE.exists():
        return {}
    return msgspec.json.decode(_STORE.read_bytes(), type=dict[str, Told])


def _page(known: Mapping[str, Told]) -> str:
    ratios = [ratio for told in known.values() for ratio in told.ratios]
    peak = max((told.peak_mib for told in known.values()), default=0.0)
    if peak:
        ratios.append(Ratio("memory of the agent, the most of all", peak, 300, " MiB"))
    lines = [_line(ratio) for ratio in ratios]
    sections = [part for name, told in known.items() for part in _section(name, told)]
    return _HEAD + "\n".join([*lines, "", *sections])


def _line(ratio: Ratio) -> str:
    met = "met" if ratio.found <= ratio.target else "missed"
    digits = ".2f" if ratio.unit in {"x", "s"} else ".0f"
    unit = f" {ratio.unit.strip()}"
    return f"| {ratio.measure} | {ratio.found:{digits}}{unit} | {ratio.target:g}{unit} | {met} |"


def _section(name: str, told: Told) -> list[str]:
    chart = [f"![{told.title}]({name}.svg)", ""] if told.bars else []
    return [f"## {told.title}", "", *told.text, "", *chart]
