"""What one caller may do, looked up once: for pages that show many things and offer many acts."""

from dataclasses import dataclass, field

import sqlalchemy as sa

from strongroom.control.basis import access
from strongroom.model.identities.access import Caller


@dataclass(slots=True)
class Rights:
    """Asked while a page is made; what is done is checked again when it is done."""

    connection: sa.Connection
    caller: Caller
    _known: dict[tuple[str, str], bool] = field(default_factory=dict)

    def may(self, action: str, scope: str) -> bool:
        """Whether any of the caller's roles allows the action at the scope."""
        asked = (action, scope)
        if asked not in self._known:
            self._known[asked] = access.may(self.connection, self.caller, *asked)
        return self._known[asked]
