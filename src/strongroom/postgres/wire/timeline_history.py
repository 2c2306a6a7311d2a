"""`00000003.history`: which timelines a server has come by, and where it left each of them.

Source: PostgreSQL src/backend/access/transam/timeline.c, readTimeLineHistory: lines of timeline,
switch point and a reason; blank lines and those that begin with # say nothing.
"""

from strongroom.model.errors import Corrupt, Invalid
from strongroom.model.postgres import Lsn, Timeline, lsn_from_text


def parse_timeline_history(raw: bytes) -> dict[Timeline, Lsn]:
    """Earlier timeline -> where it was left. Raises Corrupt."""
    left: dict[Timeline, Lsn] = {}
    for line in raw.decode("utf-8", "replace").splitlines():
        fields = line.split()
        if not fields or fields[0].startswith("#"):
            continue
        if len(fields) < 2 or not (fields[0].isascii() and fields[0].isdigit()):
            raise Corrupt("a timeline's history cannot be read")
        try:
            left[Timeline(int(fields[0][:10]))] = lsn_from_text(fields[1])
        except Invalid as error:
            raise Corrupt("a timeline's history names no position") from error
    return left
