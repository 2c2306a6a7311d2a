"""A server is the one whose log is kept when it has the same bytes in the same place."""

import hashlib
from dataclasses import dataclass

import msgspec
import pytest

from integration.servers import Server
from seams import SystemClock
from strongroom.model.errors import SourceRefused
from strongroom.model.wal import WalTail
from strongroom.postgres.log.wal_joins import TAIL_BYTES, joined_server, tail_of
from strongroom.postgres.server.connect import Conninfo

pytestmark = pytest.mark.postgres
SEGMENT = 16 << 20


@dataclass
class Written:
    """The last of a server's log, as it lies on its disk."""

    server: Server

    def tail(self, size: int = 4096) -> WalTail:
        self.server.sql("select pg_logical_emit_message(true, 'some', repeat('x', 100000))")
        asked = "pg_walfile_name(lsn), (lsn - '0/0')::bigint from pg_current_wal_flush_lsn() lsn"
        ((name, end),) = self.server.sql(f"select {asked}")
        ((system,),) = self.server.sql("select system_identifier from pg_control_system()")
        within = end % SEGMENT
        raw = (self.server.data_directory / "pg_wal" / name).read_bytes()[within - size : within]
        start, digest = tail_of(end - size, raw, SEGMENT)
        return WalTail(
            system_identifier=str(system), timeline=1, start=start, end=end, digest=digest
        )


@pytest.fixture
def written(postgres_server) -> Written:
    return Written(postgres_server(15))


def joined(server: Server, tail: WalTail) -> Conninfo:
    return joined_server(server.parsed(), tail, SystemClock(), lambda: None)


def test_the_server_that_wrote_it_is_taken_and_no_other_can_take_its_place(written):
    tied = joined(written.server, written.tail())
    assert (tied.get("host"), tied.get("port")) == (
        str(written.server.home),
        str(written.server.port),
    )


def test_a_server_that_wrote_something_else_there_is_refused(written):
    other = msgspec.structs.replace(written.tail(), digest=hashlib.sha256(b"").digest())
    with pytest.raises(SourceRefused, match="has another log than the one that is kept"):
        joined(written.server, other)


@pytest.mark.parametrize(
    "more",
    [
        {"system_identifier": "7"},
        {"timeline": 2},
        {"end": 1 << 60},
        {"start": 1 << 20, "end": (1 << 20) + 100},
    ],
    ids=["another system", "another timeline", "not as far", "gone"],
)
def test_what_a_server_cannot_have_says_nothing(written, more):
    joined(written.server, msgspec.structs.replace(written.tail(), digest=b"x" * 32, **more))


def test_a_tail_does_not_reach_back_into_another_segment():
    raw = bytes(range(256)) * 1024
    start, digest = tail_of(5 * SEGMENT - 1000, raw, SEGMENT)
    assert start == 5 * SEGMENT + len(raw) - 1000 - TAIL_BYTES
    assert digest == hashlib.sha256(raw[-TAIL_BYTES:]).digest()
    assert tail_of(5 * SEGMENT - 1000, raw[:1400], SEGMENT)[0] == 5 * SEGMENT
    assert tail_of(5 * SEGMENT - 1000, raw[:1000], SEGMENT)[0] == 5 * SEGMENT - 1000
