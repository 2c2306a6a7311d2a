"""Points of a server that keeps WAL summaries know their pages as well: few are fetched."""

from collections.abc import Iterator

import pytest

from engine_checks import check_sound
from increments import INSTANCE, Chain, Client, a_chain
from integration.servers import Server, start_server
from seams import SystemChance, SystemClock
from strongroom.agent.held_lease import HeldLease
from strongroom.agent.restore.data_directory import Grounds, restore
from strongroom.agent.restore.journal import RestoreJournal
from strongroom.model.operation import Lease, RestoreOrder, RestoreResult

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    options, settings = ("--data-checksums",), {"summarize_wal": "on", "autovacuum": "off"}
    with start_server(17, options=options, **settings) as server:
        server.sql(
            "create table item as select n as id, md5(n::text) name, md5(n::text || 'a') note "
            "from generate_series(1, 200000) n",
            "create index on item (id)",
            "create table shrinks as select n, md5(n::text) from generate_series(1, 30000) n",
            "create table doomed as select n, md5(n::text) from generate_series(1, 9000) n",
            "vacuum",
        )
        yield server


def in_place(chain: Chain, number: int) -> RestoreResult:
    """The point over the server's own directory."""
    point = chain.manifests[number].facts.recovery_point_id
    order = RestoreOrder(
        job_id=f"in-place-{number}",
        recovery_point_id=point,
        instance_id=INSTANCE,
        manifest_name=f"p/{point}.manifest",
        target_directory=str(chain.server.data_directory),
        in_place=True,
    )
    lease = Lease(operation_id=order.job_id, epoch=1, restore=order)
    held = HeldLease(Client(chain, chain.manifests[number]), lease, SystemClock(), 5.0)
    grounds = Grounds((), RestoreJournal(chain.home / "journal"))
    done = restore(held, grounds, lambda held, scope: chain.blobs, SystemChance())
    assert done.restore is not None
    return done.restore


def test_a_server_goes_back_to_an_increment_by_summaries_and_few_pages_move(server):
    with a_chain(server) as chain:
        chain.back_up()
        server.sql(
            "update item set note = reverse(note) where id between 500 and 900",
            "delete from shrinks where n > 10000",
            "vacuum (truncate) shrinks",
        )
        chain.back_up()
        server.sql(
            "insert into shrinks select n, 'again' from generate_series(1, 9000) n",
            "update item set name = 'new' where id % 4000 = 0",
        )
        chain.back_up()
        wanted = server.digests()
        assert [told.kind for told in chain.results] == ["Full", "Incremental", "Incremental"]
        assert all(each.page_layers for each in chain.manifests)
        server.sql(
            "update item set note = 'later' where id between 60000 and 60200",
            "update shrinks set md5 = 'later' where n < 50",
            "drop table doomed",
            "create table late as select n from generate_series(1, 9000) n",
            "checkpoint",
        )
        server.stop()
        told = in_place(chain, 2)
        assert told.fetched_bytes < 0.4 * sum(each.size for each in chain.manifests[2].objects)
        assert told.written_bytes < 0.1 * sum(each.size for each in chain.manifests[2].files)
        server.start()
        assert server.digests() == wanted
        server.sql("create extension amcheck")
        check_sound(server)
