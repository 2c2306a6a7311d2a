"""What an instance took in a month and cost: written down, so that it stays as it was."""

import msgspec
from whenever import Date, Instant

from strongroom.model.oversight.cost import Day, PriceSheet, read_meters


class Bill(msgspec.Struct, kw_only=True, frozen=True):
    """One instance and month (2026-11, of UTC): both meters, and their prices at that time.

    It names the instance itself, for it outlasts it. closed: the month is over, or the instance
    is gone, and nothing of it changes any more.
    """

    instance_id: str
    month: str
    name: str
    resource_group: str
    vault: str
    tags: dict[str, str]
    redundancy: str
    unit_months: float
    gb_months: float
    units_price: float
    storage_price: float
    currency: str
    closed: bool
    at: Instant

    @property
    def total(self) -> float:
        """Both meters."""
        return self.units_price + self.storage_price


class Billed(msgspec.Struct, kw_only=True, frozen=True):
    """Whose bills are written: as it is called now, and since when it is protected."""

    instance_id: str
    name: str
    resource_group: str
    vault: str
    tags: dict[str, str]
    redundancy: str
    began: Date


def bills_until(
    of: Billed, days: list[Day], sheet: PriceSheet, at: Instant, *, gone: bool
) -> list[Bill]:
    """Of each month from the first that was counted on; the last is today's, closed if `gone`.

    `days`: all that were counted, the oldest first.
    """
    if not days:
        return []
    today = at.to_tz("UTC").date()
    month, found = max(of.began, days[0].day.replace(day=1)), []
    while month <= today:
        last = min(today, month.replace(day=month.days_in_month()))
        meters = read_meters(days, month, last)
        units, storage = meters.prices(sheet, of.redundancy)
        bill = Bill(
            instance_id=of.instance_id,
            month=month_of(month),
            name=of.name,
            resource_group=of.resource_group,
            vault=of.vault,
            tags=of.tags,
            redundancy=of.redundancy,
            unit_months=meters.unit_months,
            gb_months=meters.gb_months,
            units_price=units,
            storage_price=storage,
            currency=sheet.currency,
            closed=gone or month_of(month) < month_of(today),
            at=at,
        )
        found.append(bill)
        month = month.replace(day=1).add(months=1)
    return found


def month_of(day: Date) -> str:
    """2026-11."""
    return day.format_iso()[:7]
