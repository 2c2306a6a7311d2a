"""V1: directories where PostgreSQL allows them and few put them."""

import pytest

from increments import a_chain
from integration.servers import ALL_MAJORS, open_directory, own, start_server

pytestmark = [pytest.mark.postgres, pytest.mark.V1]


@pytest.mark.parametrize("source", ["disk", "stream"])
@pytest.mark.parametrize("major", ALL_MAJORS[1:])
def test_a_log_elsewhere_and_tablespaces_within_come_back(major, source):
    """`pg_wal` is a link; one tablespace lies in the data directory, another is no link at all."""
    with (
        open_directory() as place,
        start_server(
            major,
            options=(f"--waldir={place / 'log'}",),
            autovacuum="off",
            allow_in_place_tablespaces="on",
        ) as server,
        a_chain(server) as chain,
    ):
        inside = server.data_directory / "inside"
        inside.mkdir()
        own(inside)
        server.sql(
            f"create tablespace inside location '{inside}'",
            "create tablespace here location ''",
            "create table one tablespace inside as select g from generate_series(1, 2000) g",
            "create table two tablespace here as select g from generate_series(1, 2000) g",
        )
        chain.back_up(source=source)
        server.sql("insert into one values (0)", "delete from two where g > 1000")
        assert chain.back_up(source=source).kind == "Incremental"
        with chain.restored(1, inside) as clone:
            assert clone.digests() == server.digests()
            assert not (clone.data_directory / "pg_wal").is_symlink()


def test_tablespaces_are_read_from_the_disk_as_from_the_stream():
    with start_server(15, autovacuum="off") as server, a_chain(server) as chain:
        space = server.home / 'sp "ace'
        space.mkdir()
        own(space)
        server.sql(
            f"create tablespace fast location '{space}'",
            "create table priced tablespace fast as select g from generate_series(1, 9000) g",
        )
        chain.back_up(source="disk")
        with a_chain(server) as streamed:
            streamed.back_up(source="stream")
            read, sent = (
                {f.path for f in one.manifests[0].files if not f.path.startswith("pg_wal/0")}
                for one in (chain, streamed)
            )
        assert read - sent == {"tablespace_map"}  # which no restore writes: its links lead back
        assert sent <= read
        with chain.restored(0, space) as clone:
            assert clone.digests() == server.digests()
