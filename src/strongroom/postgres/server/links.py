"""Links in a data directory where PostgreSQL makes none: what lies behind them is in no backup.

A server runs well with its `base` on another disk, behind a link; BASE_BACKUP passes such a link
over as a special file, with a warning alone (src/backend/backup/basebackup.c, sendDir).
"""

import re
from collections.abc import Iterable

from strongroom.model.errors import SourceRefused

_NEEDED = re.compile(
    r"base|global|pg_xact|pg_multixact(?:/members|/offsets)?|pg_twophase|base/[0-9]+|"
    r"(?:global|base/[0-9]+|pg_tblspc/[0-9]+/PG_[^/]+(?:/[0-9]+)?)/[0-9]+(?:_\w+)?(?:\.[0-9]+)?"
)
# A path in a warning of whatever language, and between whatever quotes; one with a number after it
# is about a page.
_SAID = re.compile(r"(?<![\w./])\./([\w./]+)[^0-9]*$")


def is_needed(path: str) -> bool:
    """Whether a server cannot be without what stands there."""
    return _NEEDED.fullmatch(path) is not None


def link_refused(place: str) -> SourceRefused:
    """That a link stands at `place`."""
    return SourceRefused(
        f"{place} is a link where PostgreSQL makes none",
        hint="Put the directory or file itself there.",
        facts={"path": place},
    )


def refuse_passed_over(warnings: Iterable[str]) -> None:
    """Raises SourceRefused when the server has passed over what it cannot be without."""
    for said in map(_SAID.search, warnings):
        if said is not None and is_needed(said[1]):
            raise link_refused(said[1])
