"""How fast a job goes lately, as a figure and as a line of 19 by 20."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from whenever import Instant

from strongroom.model.work.job import Job

_SECONDS, _SHARE = 300.0, 0.1  # the last five minutes, or of a long job its last tenth
_PARTS, _LATELY = 20, 4  # of the line; of the figure
_LEAST, _SILENT = 0.5, 60.0  # seconds: nearer is one moment; without a byte for so long: none come
_TOP, _FLOOR = 2.0, 19.0
Span = tuple[float, float, float]  # since, until, bytes a second


@dataclass(frozen=True, slots=True)
class Pace:
    """Bytes a second, and an SVG path."""

    rate: float
    line: str


def since_when(job: Job, now: Instant) -> Instant:
    """From when on its pace is looked at."""
    lived = (now - job.started_at).total("seconds")
    return now.subtract(seconds=max(_SECONDS, lived * _SHARE))


def pace_of(job: Job, told: Sequence[tuple[Instant, int]], now: Instant) -> Pace | None:
    """Of what was `told` since then: (when, bytes done). None: too little to tell."""
    seen = list(told)
    if job.started_at >= since_when(job, now):
        seen.insert(0, (job.started_at, 0))
    last = seen[-1] if seen else (now, 0)
    silent = (now - last[0]).total("seconds") > _SILENT
    if silent or job.progress.done_bytes != last[1]:
        seen.append((now, job.progress.done_bytes))
    spans = list(_spans(seen))
    if len(spans) < 2:
        return None
    rates = _parts(spans)
    most = max(rates) or 1.0
    ys = (_FLOOR - (_FLOOR - _TOP) * rate / most for rate in rates)
    line = "M" + "L".join(f"{x} {y:.1f}" for x, y in enumerate(ys))
    return Pace(sum(rates[-_LATELY:]) / _LATELY, line)


def _spans(seen: Sequence[tuple[Instant, int]]) -> Iterator[Span]:
    """From one to the next. Where a step counts anew, from nothing, the bytes are its own."""
    start, (before, done) = seen[0][0], seen[0]
    for at, bytes_done in seen[1:]:
        seconds = (at - before).total("seconds")
        if seconds < _LEAST:
            continue
        moved = bytes_done - done if bytes_done >= done else bytes_done
        since = (before - start).total("seconds")
        yield since, since + seconds, moved / seconds
        before, done = at, bytes_done


def _parts(spans: Sequence[Span]) -> list[float]:
    """The mean of each of twenty equal parts of the time."""
    length = spans[-1][1] / _PARTS
    found = []
    for part in range(_PARTS):
        since, until = part * length, (part + 1) * length
        moved = (
            rate * max(0.0, min(until, end) - max(since, begin)) for begin, end, rate in spans
        )
        found.append(sum(moved) / length)
    return found
