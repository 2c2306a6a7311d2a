"""Names for ids: whoever signs in, for pages that tell who did something."""

from collections.abc import Iterable

from strongroom.catalog.identities import principals
from strongroom.control.basis.control import Control


def names_of(control: Control, ids: Iterable[str]) -> dict[str, str]:
    """Object id -> name; an id that is nobody's any more stands for itself."""
    wanted = set(ids)
    with control.database.reading() as connection:
        known = {row["id"]: row["display_name"] for row in principals.list_all(connection)}
    return {each: str(known.get(each, each)) for each in wanted}
