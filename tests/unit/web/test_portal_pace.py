"""How fast a job goes lately: a figure, and a line that fits its box."""

from typing import Any

from whenever import Instant

from strongroom.model.ids import InstanceId, JobId
from strongroom.model.work.job import Job, JobKind, JobStatus
from strongroom.model.work.operation import Progress
from strongroom.web.portal.pace import pace_of, since_when

NOW = Instant.from_utc(2026, 11, 27, 12)


def job(seconds: float, done: int) -> Job:
    names: dict[str, Any] = dict.fromkeys(
        ("vault_id", "rule_name", "tag", "requested_by", "instance_name", "vault_name"), ""
    )
    names |= dict.fromkeys(
        ("resource_group", "policy_name", "server_name", "server_resource_group", "location"), ""
    )
    return Job(
        id=JobId("j"),
        instance_id=InstanceId("i"),
        kind=JobKind.BACKUP,
        status=JobStatus.IN_PROGRESS,
        started_at=NOW.subtract(seconds=seconds),
        ended_at=None,
        user_triggered=False,
        order={},
        progress=Progress(step="Reading", done_bytes=done),
        sub_tasks=[],
        error=None,
        warnings=[],
        recovery_point_id=None,
        **names,
    )


def told(*samples: tuple[float, int]) -> list[tuple[Instant, int]]:
    return [(NOW.subtract(seconds=ago), done) for ago, done in samples]


def heights(line: str) -> list[float]:
    return [float(point.split()[1]) for point in line[1:].split("L")]


def test_an_even_pace_is_a_level_line_at_its_rate() -> None:
    found = pace_of(job(100, 1000), told((50, 500), (10, 900), (0, 1000)), NOW)
    assert found is not None
    assert round(found.rate) == 10
    assert heights(found.line) == [2.0] * 20


def test_where_no_bytes_have_come_for_a_while_the_line_is_at_the_floor() -> None:
    found = pace_of(job(300, 900), told((280, 300), (240, 900)), NOW)
    assert found is not None
    assert found.rate == 0.0
    assert heights(found.line)[-4:] == [19.0] * 4


def test_between_two_words_of_the_agent_the_line_does_not_fall() -> None:
    found = pace_of(job(100, 900), told((50, 500), (10, 900)), NOW)
    assert found is not None
    assert heights(found.line)[-1] == 2.0


def test_a_step_that_counts_anew_has_bytes_of_its_own() -> None:
    found = pace_of(job(90, 400), told((50, 400), (10, 400), (0, 400)), NOW)
    assert found is not None
    again = pace_of(job(90, 200), told((50, 400), (10, 100), (0, 200)), NOW)
    assert again is not None
    assert again.rate > 0 == found.rate


def test_of_a_long_job_its_last_tenth_is_drawn_and_too_little_is_not() -> None:
    day = job(86_400, 10**9)
    assert (NOW - since_when(day, NOW)).total("seconds") == 8640
    assert (NOW - since_when(job(60, 0), NOW)).total("seconds") == 300
    assert pace_of(day, told((30, 5)), NOW) is None
    assert pace_of(job(20, 0), [], NOW) is None
