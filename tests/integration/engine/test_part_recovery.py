"""Recovery of a part really passes over pages that were not fetched, and the part is right."""

import subprocess
from pathlib import Path

import pytest

from increments import a_chain
from integration.servers import open_directory, some, start_server
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


def bytes_of(scratch: ScratchServer, database: int, file: int) -> int:
    """That lie on the disk of a scratch server's file; 0 where there is none."""
    path = Path(scratch.directory) / "base" / str(database) / str(file)
    return path.stat().st_blocks * 512 if path.exists() else 0


@pytest.mark.parametrize("major", some(14))
@pytest.mark.parametrize("what", ["table", "database", "all"])
def test_of_indexes_just_those_of_long_values_are_fetched(major, what, monkeypatch):
    with start_server(major) as server, a_chain(server) as chain, open_directory() as home:
        server.sql("create database shop", "checkpoint")
        server.sql(
            "create table item (id int primary key, words text)",
            "insert into item select g, (select string_agg(md5((g * n)::text), '') "
            "from generate_series(1, 200) n) from generate_series(1, 3000) g",
            "create index by_words on item (md5(words))",
            "alter table item replica identity using index item_pkey",
            "checkpoint",
            database="shop",
        )
        [(database, primary, by_words, toast, held)] = server.sql(
            "select (select oid from pg_database where datname = 'shop')::bigint, "
            "pg_relation_filenode('item_pkey')::bigint, pg_relation_filenode('by_words')::bigint, "
            "pg_relation_filenode(reltoastrelid)::bigint, (select pg_relation_filenode(indexrelid)"
            "::bigint from pg_index where indrelid = reltoastrelid) "
            "from pg_class where relname = 'item'",
            database="shop",
        )
        chain.back_up()
        seen = []

        def note(scratch, needed):
            seen.append({file: bytes_of(scratch, database, file) for _, file in needed})
            seen.append({file: bytes_of(scratch, database, file) for file in (primary, by_words)})

        monkeypatch.setattr(ScratchServer, "check_recovered", note)
        if what == "table":
            chain.dump_table(0, "shop", "item", home / "dump")
        elif what == "database":
            chain.extract(0, server, "shop", "then")
            assert server.digests("then") == server.digests("shop")
        else:
            chain.as_files(0, home / "files")
        fetched, left_out = seen
        assert fetched[toast] > 1_000_000
        assert fetched[held] > 0
        assert left_out == {primary: 0, by_words: 0}
        assert not left_out.keys() & fetched.keys()


@pytest.mark.parametrize("major", some(15))
def test_a_table_that_is_read_by_a_condition_comes_with_its_indexes(major):
    """What an extension says is its settings is dumped as far as they are not its own."""
    with start_server(major) as server, a_chain(server) as chain, open_directory() as home:
        server.sql(
            "create table settings (n int primary key, words text)",
            "insert into settings select g, md5(g::text) from generate_series(1, 20000) g",
            "alter extension plpgsql add table settings",
            "update pg_extension set extconfig = array['settings'::regclass::oid], "
            "extcondition = array['where n > 19000'] where extname = 'plpgsql'",
            "checkpoint",
        )
        chain.back_up()
        chain.dump_table(0, "postgres", "settings", home / "dump")
        program = str(server.tools.program("pg_restore"))
        dump = home / "dump" / "postgres.public.settings.dump"
        told = subprocess.run([program, "-f-", str(dump)], capture_output=True, check=True)
        assert sum(b"\t" in line for line in told.stdout.splitlines()) == 1000
