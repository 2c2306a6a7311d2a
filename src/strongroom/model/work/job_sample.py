"""How far a job was at a moment, and what its log says: pure."""

from collections.abc import Sequence

import msgspec
from whenever import Instant

from strongroom.model.work.job import Job, JobStatus
from strongroom.model.work.operation import Progress

GAP_SECONDS = 2.0  # between two samples of one step, at first
_DOUBLES = 60  # after so many samples the gap is twice as long: a day of work has six hundred


class Sample(msgspec.Struct, kw_only=True, frozen=True):
    """Bytes are raw bytes since the job began; number counts from 0."""

    number: int
    at: Instant
    step: str
    note: str
    done_bytes: int
    stored_bytes: int


class Line(msgspec.Struct, kw_only=True, frozen=True):
    """One line of a job's log. level: info | warning | error; facts: by name, for people."""

    at: Instant
    level: str
    event: str
    facts: dict[str, str] = {}


class Rate(msgspec.Struct, kw_only=True, frozen=True):
    """Bytes a second between two moments; seconds are since the job began."""

    since: float
    until: float
    bytes_per_second: float


def is_worth_keeping(last: Sample | None, progress: Progress, at: Instant) -> bool:
    """Whether another step is under way, or it is long enough after the last."""
    if last is None or last.step != progress.step:
        return True
    gap = GAP_SECONDS * float(1 << (last.number // _DOUBLES))
    return (at - last.at).total("seconds") >= gap


def rates_of(samples: Sequence[Sample], began: Instant) -> list[Rate]:
    """From sample to sample. Where a step counts anew, from nothing, the bytes are its own."""
    found: list[Rate] = []
    before = (began, 0)
    for sample in samples:
        seconds = (sample.at - before[0]).total("seconds")
        if seconds < GAP_SECONDS / 4:
            continue
        done = sample.done_bytes - before[1]
        start = (before[0] - began).total("seconds")
        rate = max(0, done if done >= 0 else sample.done_bytes) / seconds
        found.append(Rate(since=start, until=start + seconds, bytes_per_second=rate))
        before = (sample.at, sample.done_bytes)
    return found


def lines_of(job: Job, samples: Sequence[Sample]) -> list[Line]:
    """In the order of time: its steps, what its agent told within them, its end."""
    who = {"askedBy": "a person" if job.user_triggered else "policy"}
    told = {**who, "rule": job.rule_name, "tag": job.tag}
    found = [Line(at=job.started_at, level="info", event="job begun", facts=_said(told))]
    for task in job.sub_tasks:
        if task.started_at:
            at = Instant.parse_iso(task.started_at)
            found.append(Line(at=at, level="info", event="step begun", facts={"step": task.name}))
    said = ("", "")
    for sample in samples:
        if (sample.step, sample.note) != said:
            said = (sample.step, sample.note)
            facts = {"doing": sample.step, "note": sample.note}
            facts["done"] = str(sample.done_bytes) if sample.done_bytes else ""
            found.append(Line(at=sample.at, level="info", event="agent", facts=_said(facts)))
    last = job.ended_at or max((line.at for line in found), default=job.started_at)
    found += [_told(last, "warning", warning) for warning in job.warnings]
    if job.error:
        found.append(_told(last, "error", job.error))
    if job.ended_at is not None:
        good = job.status in {JobStatus.COMPLETED, JobStatus.COMPLETED_WITH_WARNINGS}
        facts = {"status": job.status.value}
        level = "info" if good else "error"
        found.append(Line(at=job.ended_at, level=level, event="job ended", facts=facts))
    return sorted(found, key=lambda line: line.at)


def _told(at: Instant, level: str, error: dict[str, object]) -> Line:
    facts = {name: str(error.get(name) or "") for name in ("code", "message", "hint")}
    return Line(at=at, level=level, event=level, facts=_said(facts))


def _said(facts: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in facts.items() if value}
