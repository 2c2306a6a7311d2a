"""Who signs in to the portal from the start."""

from pathlib import Path

from strongroom.config import write_private
from strongroom.control.basis.control import Control
from strongroom.control.identities import users
from strongroom.model.identities.access import OWNER

NAME = "admin"
FILE = "portal-password"  # beside the connection's


def ensure_administrator(control: Control, scope: str, beside: Path) -> None:
    """Made at the first start. The password lies in a file, mode 0600, until `up` has told it."""
    if users.is_known(control, NAME):
        return
    told = beside.with_name(FILE)
    if not told.exists():
        write_private(told, users.new_password(control.chance).encode() + b"\n")
    users.create_user(control, NAME, told.read_text().strip(), OWNER.id, scope)
