"""A server goes back to increments in its own directory: what is there already is not fetched."""

import pytest

from engine_checks import check_sound
from engine_rows import until
from increments import INSTANCE, Chain, Client, a_chain
from integration.servers import Server, start_server
from seams import SystemChance, SystemClock
from strongroom.agent.held_lease import HeldLease
from strongroom.agent.restore.data_directory import Grounds, restore
from strongroom.agent.restore.journal import RestoreJournal
from strongroom.model.work.operation import Lease, RestoreOrder, RestoreResult

pytestmark = pytest.mark.postgres


def lay_tables(server: Server) -> None:
    server.sql(
        "create table item as select n as id, md5(n::text) name, md5(n::text || 'a') note "
        "from generate_series(1, 200000) n",
        "create index on item (id)",
        "create table shrinks as select n, md5(n::text) from generate_series(1, 30000) n",
        "create table doomed as select n, md5(n::text) from generate_series(1, 9000) n",
        "vacuum",
    )


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


def share_fetched(chain: Chain, number: int) -> float:
    """Goes back to the point, which is then whole -> the part of it that was fetched."""
    told = in_place(chain, number)
    assert told.written_bytes < 0.1 * sum(each.size for each in chain.manifests[number].files)
    return told.fetched_bytes / sum(each.size for each in chain.manifests[number].objects)


def onto_another_timeline(server: Server) -> None:
    """As after a restore to a moment: it recovers, and begins a timeline of its own."""
    (server.data_directory / "recovery.signal").touch()
    with (server.data_directory / "postgresql.auto.conf").open("a") as file:
        file.write("restore_command = 'false'\n")
    server.start()
    until(server, "select not pg_is_in_recovery()")
    server.sql("checkpoint")  # the one of its promotion may be still to come
    assert server.sql("select timeline_id from pg_control_checkpoint()") == [(2,)]


@pytest.mark.parametrize("major", [14, 17])
def test_little_is_fetched_without_page_checksums_and_from_another_timeline(major):
    """Hint bits that no log tells of, increments over increments, pages of another history."""
    settings = {"summarize_wal": "on"} if major >= 17 else {}
    with start_server(major, autovacuum="off", **settings) as server, a_chain(server) as chain:
        lay_tables(server)
        chain.back_up()
        server.sql(
            "update item set note = reverse(note) where id between 500 and 900",
            "delete from shrinks where n > 10000",
            "vacuum (truncate) shrinks",
        )
        chain.back_up()
        first = server.digests()
        server.sql(
            "insert into shrinks select n, 'again' from generate_series(1, 9000) n",
            "update item set name = 'new' where id between 900 and 1000",
        )
        chain.back_up()
        wanted = server.digests()
        assert [told.kind for told in chain.results] == ["Full", "Incremental", "Incremental"]
        server.sql(
            "update item set note = 'later' where id between 1000 and 1200",
            "update shrinks set md5 = 'later' where n < 50",
            "drop table doomed",
            "create table late as select n from generate_series(1, 9000) n",
            "select count(*) from item, shrinks where id = n",  # leaves its hint bits
            "checkpoint",
        )
        server.stop()
        assert share_fetched(chain, 2) < 0.2, "of a server without page checksums"
        onto_another_timeline(server)
        assert server.digests() == wanted
        server.sql("update item set name = 'elsewhere' where id between 1200 and 1300")
        server.stop()
        assert share_fetched(chain, 1) < 0.1, "to an earlier point, from another timeline"
        server.start()
        assert server.digests() == first
        server.sql("create extension amcheck")
        check_sound(server)
