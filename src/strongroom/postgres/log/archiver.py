"""How a server's archiver stands: what it says of itself when nothing comes."""

from strongroom.postgres.server.asked import Asked

_STANDS = """
select case
    when current_setting('archive_mode') = 'off' then 'archive_mode is off: nothing is archived'
    when pg_is_in_recovery() and current_setting('archive_mode') <> 'always'
        then 'it is a standby, and archive_mode is not always: nothing is archived'
    when last_failed_time > coalesce(last_archived_time, '-infinity')
        then 'its archive_command fails, with ' || last_failed_wal || ' at '
            || to_char(last_failed_time at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS')
            || ' UTC: the server''s own log says why'
    else '' end,
    case when current_setting('archive_timeout') in ('0', '0s')
        then 'archive_timeout is 0: a segment that is not full waits' else '' end
from pg_stat_archiver
"""


def trouble_of(server: Asked) -> tuple[str, str]:
    """(why nothing comes, why it comes late); empty where neither is so. Raises SourceError.

    Source: PostgreSQL manual, "pg_stat_archiver"; every role may read it.
    """
    ((stops, late),) = server.rows(_STANDS, "asking how its archiver stands")
    return stops.decode(), late.decode()
