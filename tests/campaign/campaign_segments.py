"""V1, r32: a relation of more than one segment, from every reading, with each way of increments.

Cheap: most of its first segment is zero pages, which are a hole on the disk; the second has rows.
"""

import pytest

from engine_checks import check_sound
from increments import a_chain
from integration.servers import Server, own, start_server
from strongroom.model.postgres import PAGE

pytestmark = [pytest.mark.postgres, pytest.mark.V1]
SEGMENT = 1 << 30


def stretch(server: Server, table: str) -> None:
    """To a little more than one segment, as a server does that extends and then dies."""
    path = server.data_directory / server.sql(f"select pg_relation_filepath('{table}')")[0][0]
    server.sql("checkpoint")
    server.stop()
    with path.open("r+b") as file:
        file.truncate(SEGMENT)
    second = path.with_name(f"{path.name}.1")
    second.write_bytes(bytes(4 * PAGE))
    own(second)
    second.chmod(0o600)
    server.start()


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("major", "source", "settings"),
    [
        (14, "stream", {}),
        (15, "disk", {}),
        (17, "stream", {"summarize_wal": "on"}),
        (18, "disk", {}),
    ],
    ids=["14-stream", "15-disk", "17-summaries", "18-disk"],
)
def test_a_relation_of_two_segments_comes_back_with_rows_in_both(major, source, settings):
    options = ("--data-checksums",)
    with (
        start_server(major, options=options, autovacuum="off", **settings) as server,
        a_chain(server) as chain,
    ):
        server.sql("create table big as select n, md5(n::text) from generate_series(1, 9000) n")
        stretch(server, "big")
        server.sql("insert into big select n, 'second' from generate_series(9001, 9400) n")
        assert server.sql("select max((ctid::text::point)[0]) >= 131072 from big") == [(True,)]
        chain.back_up(source=source)
        server.sql("update big set md5 = 'changed' where n % 90 = 0", "create index on big (n)")
        assert chain.back_up(source=source).kind == "Incremental"
        assert not any(told.warnings for told in chain.results)
        server.sql("delete from big where n > 9000", "vacuum (truncate) big")
        assert chain.back_up(source=source).kind == "Incremental"
        with chain.restored(1) as clone:
            assert clone.sql("select count(*), max(n) from big") == [(9400, 9400)]
            check_sound(clone)
        with chain.restored(2) as clone:
            assert clone.digests() == server.digests()
            check_sound(clone)
