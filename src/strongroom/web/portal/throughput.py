"""How fast a job went over its life, as a picture of 1000 by 100."""

from collections.abc import Sequence
from dataclasses import dataclass

from whenever import Instant

from strongroom.model.work.job import Job
from strongroom.model.work.job_sample import Rate, Sample, rates_of

_MOST = 200  # columns
_WIDE, _HIGH = 1000, 100


@dataclass(frozen=True, slots=True)
class Speed:
    """Bytes a second: on average, at most, and at the top of the picture."""

    seconds: float
    mean: float
    most: float
    top: float
    area: str
    mean_y: float


def speed_of(job: Job, samples: Sequence[Sample], now: Instant) -> Speed | None:
    """None where nothing is known of any bytes."""
    seconds = ((job.ended_at or now) - job.started_at).total("seconds")
    rates = _merged(rates_of(samples, job.started_at), seconds)
    most = max((rate.bytes_per_second for rate in rates), default=0.0)
    if not most or seconds <= 0:
        return None
    moved = sum((rate.until - rate.since) * rate.bytes_per_second for rate in rates)
    mean, top = moved / seconds, most * 1.1
    path = "M0 100" + "".join(_column(rate, seconds, top) for rate in rates)
    return Speed(
        seconds=seconds,
        mean=mean,
        most=most,
        top=top,
        area=f"{path}V100Z",
        mean_y=round(_HIGH - _HIGH * mean / top, 1),
    )


def _column(rate: Rate, seconds: float, top: float) -> str:
    since, until = (round(_WIDE * each / seconds, 1) for each in (rate.since, rate.until))
    high = round(_HIGH - _HIGH * rate.bytes_per_second / top, 1)
    return f"H{since}V{high}H{until}"


def _merged(rates: Sequence[Rate], seconds: float) -> list[Rate]:
    """No more than a picture can show."""
    found: list[Rate] = []
    for rate in rates:
        last = found[-1] if found else None
        if last is not None and rate.until - last.since <= seconds / _MOST:
            moved = (last.until - last.since) * last.bytes_per_second
            moved += (rate.until - rate.since) * rate.bytes_per_second
            length = rate.until - last.since
            found[-1] = Rate(since=last.since, until=rate.until, bytes_per_second=moved / length)
        else:
            found.append(rate)
    return found
