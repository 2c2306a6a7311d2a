"""Whether a server's WAL summaries know where a parent began.

A summary ends at every checkpoint's redo point, and a backup begins at one. A copy of the server
with a history of its own has its checkpoints elsewhere: what it says has changed since that
position is not what has changed since the parent.
Source: PostgreSQL src/backend/postmaster/walsummarizer.c, SummarizeWAL.
"""

import psycopg

from strongroom.model.postgres import Lsn, Timeline, lsn_to_text
from strongroom.postgres.server.connect import Conninfo, connect

_ENDS = """
select bool_or(start_lsn = %(lsn)s::pg_lsn or end_lsn = %(lsn)s::pg_lsn)
from pg_available_wal_summaries()
where tli = %(timeline)s and start_lsn <= %(lsn)s::pg_lsn and end_lsn >= %(lsn)s::pg_lsn
"""


def know_checkpoint(conninfo: Conninfo, timeline: Timeline, lsn: Lsn) -> bool:
    """False: they tell of that position, and no checkpoint lies there. Raises SourceError.

    True where they do not reach back so far, or may not be asked: the server itself decides then.
    """
    asked = {"timeline": timeline, "lsn": lsn_to_text(lsn)}
    with connect(conninfo) as connection:
        try:
            row = connection.execute(_ENDS, asked).fetchone()
        except psycopg.errors.InsufficientPrivilege:
            return True
    return row is None or row[0] is not False
