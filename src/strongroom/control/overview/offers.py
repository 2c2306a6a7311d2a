"""What a page may offer: each act by its name, and whether the caller may do it there."""

from collections.abc import Mapping

from strongroom.control.basis.control import Control
from strongroom.control.basis.rights import Rights
from strongroom.model.identities.access import Caller


def offers(
    control: Control, caller: Caller, scope: str, actions: Mapping[str, str]
) -> dict[str, bool]:
    """Name -> whether the caller may; `actions` are names and what is asked for."""
    with control.database.reading() as connection:
        rights = Rights(connection, caller)
        return {name: rights.may(action, scope) for name, action in actions.items()}
