"""How a job went: which moments are kept, how fast it was between them, what its log says."""

from whenever import Instant

from strongroom.model.work.job import Job, JobKind, JobStatus, SubTask
from strongroom.model.work.job_sample import Sample, is_worth_keeping, lines_of, rates_of
from strongroom.model.work.operation import Progress

BEGAN = Instant.parse_iso("2026-11-22T02:00:00Z")


def sample(number: int, seconds: float, done: int, step: str = "Reading") -> Sample:
    at = BEGAN.add(seconds=seconds)
    told = {"step": step, "note": "", "done_bytes": done, "stored_bytes": done // 4}
    return Sample(number=number, at=at, **told)  # type: ignore[arg-type]


def test_another_step_is_always_kept_and_the_same_one_after_a_while() -> None:
    last, reading = sample(3, 10, 500), Progress(step="Reading", done_bytes=900)
    assert is_worth_keeping(None, reading, BEGAN)
    assert not is_worth_keeping(last, reading, BEGAN.add(seconds=11))
    assert is_worth_keeping(last, reading, BEGAN.add(seconds=12))
    assert is_worth_keeping(last, Progress(step="Storing"), BEGAN.add(seconds=11))


def test_a_day_of_work_has_some_hundred_samples() -> None:
    last, kept = None, 0
    for second in range(0, 86_400, 2):
        told = Progress(step="Reading", done_bytes=second)
        if is_worth_keeping(last, told, BEGAN.add(seconds=second)):
            last, kept = sample(kept, second, second), kept + 1
    assert 400 < kept < 700


def test_rates_are_bytes_a_second_and_a_step_that_counts_anew_begins_at_nothing() -> None:
    found = rates_of([sample(0, 2, 200), sample(1, 4, 1200), sample(2, 6, 100)], BEGAN)
    assert [each.bytes_per_second for each in found] == [100, 500, 50]
    assert (found[1].since, found[1].until) == (2, 4)


def test_a_log_tells_steps_what_the_agent_did_and_how_it_ended_in_the_order_of_time() -> None:
    at = BEGAN.add(seconds=1).format_iso()
    job = Job(
        id="j",
        vault_id="v",
        instance_id="i",
        kind=JobKind.BACKUP,
        status=JobStatus.FAILED,
        started_at=BEGAN,
        ended_at=BEGAN.add(seconds=9),
        rule_name="Nightly",
        tag="",
        user_triggered=False,
        requested_by="schedule",
        order={},
        progress=Progress(step="Reading"),
        sub_tasks=[
            SubTask(name="Check readiness", status="Failed", started_at=at),
            SubTask(name="Commit", status="Skipped"),
        ],
        error={"code": "SourceUnreachable", "message": "no answer", "hint": "start it"},
        warnings=[{"code": "W", "message": "slow"}],
        recovery_point_id=None,
        instance_name="i",
        vault_name="v",
        resource_group="g",
        policy_name="p",
        server_name="s",
        server_resource_group="g",
        location="local",
    )
    found = lines_of(job, [sample(0, 3, 0), sample(1, 5, 50), sample(2, 7, 90, "Storing")])
    assert [(line.event, line.level) for line in found] == [
        ("job begun", "info"),
        ("step begun", "info"),
        ("agent", "info"),
        ("agent", "info"),
        ("warning", "warning"),
        ("error", "error"),
        ("job ended", "error"),
    ]
    assert found[3].facts == {"doing": "Storing", "done": "90"}
    assert found[5].facts["hint"] == "start it"
