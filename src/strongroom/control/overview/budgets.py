"""What all of it may cost a month: one budget, in the price sheet's currency."""

import msgspec
import sqlalchemy as sa

from strongroom.catalog.installation import installation
from strongroom.catalog.oversight import audit
from strongroom.control.basis.access import require
from strongroom.control.basis.control import Control
from strongroom.model import arm
from strongroom.model.identities.access import Caller
from strongroom.model.oversight.cost import Budget

CHANGE = "Microsoft.Consumption/budgets/write"
_NAME = "budget"


def budget_of(control: Control) -> Budget | None:
    """As somebody has set it."""
    with control.database.reading() as connection:
        return _kept(connection)


def _kept(connection: sa.Connection) -> Budget | None:
    text = installation.get(connection, _NAME)
    return msgspec.json.decode(text, type=Budget) if text else None


def put_budget(control: Control, caller: Caller, budget: Budget | None) -> None:
    """Another one from now on, or None. Raises Invalid, Forbidden."""
    if budget is not None:
        budget.check()
    scope = arm.subscription_id_of(control.installation.subscription_id)
    with control.database.writing() as connection:
        require(control, connection, caller, CHANGE, scope)
        before = _kept(connection)
        text = "" if budget is None else msgspec.json.encode(budget).decode()
        installation.put(connection, _NAME, text)
        now, states = control.clock.now(), [msgspec.to_builtins(each) for each in (before, budget)]
        told = ("budget/write", scope)
        audit.append(connection, now, caller, told, before=states[0], after=states[1])
