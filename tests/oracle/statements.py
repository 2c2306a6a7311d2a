"""What the product says must be so: I2 truthful status, I4 retention floor."""

import json
import re
from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from oracle.book import Row
from oracle.endings import gone, in_time
from oracle.look import Look, Receipt

GOOD = ("Completed", "CompletedWithWarnings")
ENDED = (*GOOD, "Failed", "Cancelled")
DEADLINE = timedelta(hours=24)  # no job of ours may be under way for longer
_DURATION = re.compile(r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?")
_SLACK = timedelta(hours=26)  # a policy may count its days in any zone


def truthful_status(look: Look) -> Iterator[str]:
    """I2."""
    if look.book is None:
        return
    for job in look.book["jobs"]:
        yield from _status(look, job)
    for point in look.book.points().keys() - gone(look):
        if point not in look.receipts and not _is_spoiled(look, point):
            yield f"point {point} is listed and storage has no valid receipt of it"


def _is_spoiled(look: Look, point: str) -> bool:
    return any(point in name for _, name in look.watched.altered)


def _status(look: Look, job: Row) -> Iterator[str]:
    name, status = job["id"], job["status"]
    before = look.memory.ended.get(name)
    if before is not None and status != before:
        yield f"job {name} had ended as {before} and is {status}"
    if status in ENDED:
        look.memory.ended[name] = status
        if job["ended_at"] is None:
            yield f"job {name} is {status} and has no end"
        if any(task["status"] == "InProgress" for task in job["sub_tasks"]):
            yield f"job {name} is {status} and one of its steps is in progress"
    elif look.watched.now() - moment(job["started_at"]) > DEADLINE:
        yield f"job {name} is {status} beyond every deadline"
    if status == "Failed" and not _says_why(job["error"]):
        yield f"job {name} failed and does not say why and what next"
    if status in GOOD and job["kind"] == "Backup" and job["recovery_point_id"] is None:
        yield f"job {name} is {status} and made no point"
    of_point = job["kind"] not in {"CollectGarbage", "LongTermBackup"}
    if status in GOOD and of_point and job["recovery_point_id"] not in look.book.points():
        yield f"job {name} is {status} and its point is not listed"


def _says_why(error: Row | None) -> bool:
    return bool(error and error.get("code") and error.get("message") and error.get("hint"))


def retention_floor(look: Look) -> Iterator[str]:
    """I4."""
    _learn_durations(look)
    for receipt in look.receipts.values():
        duration = _duration_of(look, receipt)
        if duration is not None and receipt.expires_at < _added(receipt.taken_at, duration):
            yield f"point {receipt.point} ends before {duration} of its tag have passed"
    if look.book is None:
        return
    for point, row in look.book.points().items():
        receipt = look.receipts.get(point)
        if receipt is not None and moment(row["expires_at"]) < receipt.expires_at:
            yield f"the row of point {point} ends before its receipt"
        before = look.memory.expires.setdefault(point, row["expires_at"])
        if row["expires_at"] < before:
            yield f"point {point} ends earlier than it once did"
    for point, expires in look.memory.expires.items():
        listed = point in look.book.points() or point in gone(look)
        if moment(expires) > look.watched.now() and not listed:
            yield f"point {point} is no longer listed, before its end"
    yield from in_time(look)


def _learn_durations(look: Look) -> None:
    """Every version of a policy that is ever seen, in the words of the policy itself."""
    for row in [] if look.book is None else look.book["policies"]:
        rules = json.loads(row["properties"])["policyRules"]
        look.memory.durations[row["id"], row["version"]] = {
            rule["name"].lower(): rule["lifecycles"][0]["deleteAfter"]["duration"]
            for rule in rules
            if rule["objectType"] == "AzureRetentionRule"
        }


def _duration_of(look: Look, receipt: Receipt) -> str | None:
    row = None if look.book is None else look.book.points().get(receipt.point)
    if row is None:
        return look.watched.durations.get(receipt.body["tag"])
    version = look.memory.durations.get((row["policy_id"], row["policy_version"]), {})
    return version.get(receipt.body["tag"].lower())


def _added(start: datetime, duration: str) -> datetime:
    """Calendar arithmetic, less what a zone of the policy's own can make of a day."""
    found = _DURATION.fullmatch(duration)
    assert found is not None, duration
    years, months, weeks, days = (int(part or 0) for part in found.groups())
    count = start.year * 12 + start.month - 1 + years * 12 + months
    year, month = divmod(count, 12)
    day = min(start.day, monthrange(year, month + 1)[1])
    end = start.replace(year=year, month=month + 1, day=day) + timedelta(days=days, weeks=weeks)
    return end - _SLACK


def moment(micros: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
