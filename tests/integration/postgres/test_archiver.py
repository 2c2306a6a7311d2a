"""Why nothing is archived, told by the server itself and before its disk is full."""

import pytest

from engine_rows import until
from integration.servers import start_server
from strongroom.postgres.log.archiver import trouble_of
from strongroom.postgres.server.connect import session

pytestmark = pytest.mark.postgres


def test_an_archiver_that_fails_is_told_until_it_succeeds_again() -> None:
    with start_server(15, archive_mode="on", archive_command="false") as server:
        server.sql("create role plain login")
        plain = server.parsed(user="plain")

        def trouble() -> tuple[str, str]:
            with session(plain) as asked:
                return trouble_of(asked)

        assert trouble() == ("", "archive_timeout is 0: a segment that is not full waits")
        ((name,),) = server.sql("select pg_walfile_name(pg_switch_wal())")
        until(server, "select failed_count > 0 from pg_stat_archiver")
        assert trouble()[0].startswith(f"its archive_command fails, with {name} at 20")
        server.sql("alter system set archive_command = 'true'")
        server.sql("alter system set archive_timeout = '60'", "select pg_reload_conf()")
        until(server, "select archived_count > 0 from pg_stat_archiver")
        assert trouble() == ("", "")
        server.sql("alter system set archive_mode = off")
        server.stop()
        server.start()
        assert trouble()[0] == "archive_mode is off: nothing is archived"
