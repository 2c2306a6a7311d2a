"""Recovery of a part really passes over pages that were not fetched, and the part is right."""

import pytest

from increments import a_chain
from integration.servers import some, start_server
from strongroom.agent.backup import copy_server
from strongroom.postgres.backup.physical import physical_backup
from strongroom.postgres.part.scratch_server import ScratchServer
from strongroom.postgres.server.events import Started

pytestmark = [pytest.mark.postgres, pytest.mark.P7]


@pytest.mark.parametrize("major", some(14, of=(14, 15, 16, 17)))
def test_the_log_speaks_of_a_page_of_zeros_and_recovery_passes_over_it(major, monkeypatch):
    """VACUUM marks a page all-visible and logs no image of it, where nothing is summed."""
    with start_server(major, autovacuum="off") as server, a_chain(server) as chain:
        server.sql("create database shop", "create database other")
        server.sql(
            "create table item as select g from generate_series(1, 5000) g", database="shop"
        )
        server.sql(
            "create table noise as select g from generate_series(1, 5000) g",
            "select count(*) from noise",
            "checkpoint",
            database="other",
        )
        [(database, file)] = server.sql(
            "select (select oid from pg_database where datname = 'other')::bigint, "
            "pg_relation_filenode('noise')::bigint",
            database="other",
        )

        def with_vacuum(*given, **more):
            for event in physical_backup(*given, **more):
                yield event
                if isinstance(event, Started):
                    server.sql("vacuum noise", database="other")
                    server.sql("update item set g = -g where g % 100 = 0", database="shop")

        monkeypatch.setattr(copy_server, "physical_backup", with_vacuum)
        chain.back_up()
        skipped = []
        check = ScratchServer.check_recovered

        def note(scratch, needed):
            skipped.append(scratch.skipped())
            check(scratch, needed)

        monkeypatch.setattr(ScratchServer, "check_recovered", note)
        chain.extract(0, server, "shop", "then")
        assert skipped == [{(database, file)}]
        assert server.digests("then") == server.digests("shop")
        chain.extract(0, server, "other", "noise then")
        assert skipped[1] == set(), "what is asked for is there, and recovered in earnest"
        assert server.digests("noise then") == server.digests("other")
