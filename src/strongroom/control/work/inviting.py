"""Invite an agent: a token that enrols one, once, for whoever may add servers."""

from strongroom.control.basis.access import require
from strongroom.control.basis.control import Control
from strongroom.control.resources import servers
from strongroom.control.work import agents
from strongroom.model import arm
from strongroom.model.identities.access import Caller

ACTION = servers.WRITE
HOURS = 24


def invite(control: Control, caller: Caller) -> str:
    """The token; it is told this once, and good for a day. Raises Forbidden."""
    with control.database.reading() as connection:
        scope = arm.subscription_id_of(control.installation.subscription_id)
        require(control, connection, caller, ACTION, scope)
    return agents.new_enrol_token(control, HOURS)
