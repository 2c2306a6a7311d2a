"""Bills: what each month has cost, and still says so when the instance is long gone."""

import sqlalchemy as sa
from whenever import Date

from strongroom.catalog.usage import bills, usage
from strongroom.control.basis.control import Control
from strongroom.control.basis.rights import Rights
from strongroom.control.overview import costs, fleet
from strongroom.model.arm import VaultRef
from strongroom.model.identities.access import Caller
from strongroom.model.oversight.bill import Bill, bills_until, month_of
from strongroom.model.oversight.cost import Day

KEPT_YEARS = 10


def note_bills(
    control: Control, connection: sa.Connection, instance_id: str, *, gone: bool = False
) -> None:
    """The months of an instance as they were counted until now.

    One that is over is closed, and with `gone` this one too: from then on it stays as it is.
    """
    now = control.clock.now()
    days = [
        Day(Date.parse_iso(each.day), each.server_bytes, each.stored_bytes)
        for each in usage.days_of(connection, instance_id)
    ]
    of, sheet = bills.billed(connection, instance_id), costs.sheet_of(connection)
    bills.note(connection, bills_until(of, days, sheet, now, gone=gone))
    today = now.to_tz("UTC").date()
    bills.forget(connection, month_of(today.replace(day=1).subtract(years=KEPT_YEARS)))


def list_bills(control: Control, caller: Caller) -> list[Bill]:
    """Of every instance that the caller may see, or might if it were there still.

    The newest month first. This month's are as of the last count.
    """
    with control.database.reading() as connection:
        rights = Rights(connection, caller)
        return [
            bill
            for bill in bills.since(connection, "")
            if fleet.sees(control, rights, _vault(bill), bill.name)
        ]


def _vault(bill: Bill) -> VaultRef:
    return VaultRef(resource_group=bill.resource_group, name=bill.vault)
