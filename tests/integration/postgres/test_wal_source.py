"""What a server says to whoever streams its log, when it goes."""

import threading

import pytest

from integration.servers import start_server
from seams import SystemClock
from strongroom.model.errors import SourceError
from strongroom.model.postgres import Lsn
from strongroom.postgres.connect import Conninfo, replication
from strongroom.postgres.wal_source import Place, WalSource

pytestmark = pytest.mark.postgres


def test_a_server_that_shuts_down_asks_for_its_log_and_goes_once_all_of_it_is_kept() -> None:
    with start_server(15) as server:
        stopping = threading.Thread(target=server.stop)
        with replication(Conninfo.parse(server.conninfo)) as connection:
            source = WalSource(connection, SystemClock(), "")
            at = source.found.at
            source.begin(Place(source.found.system.timeline, Lsn(at - at % (16 << 20))))
            while source.position < at:
                source.next(20)
            assert not source.was_asked()
            stopping.start()
            with pytest.raises(SourceError):
                leave(source)
        stopping.join()
        assert not server.is_running()
        assert source.position > at, "with the record of its end"


def leave(source: WalSource) -> None:
    """Nothing is told of what comes, until the server asks."""
    while True:
        source.next(20)
        if source.was_asked():
            source.report_now(source.position)
