"""The care of the write-ahead log: who is streamed, and what goes, in a thread of its own."""

from functools import partial

from strongroom.catalog.wal import streaming
from strongroom.workflows.basis.means import Means
from strongroom.workflows.basis.ticking import Ticking
from strongroom.workflows.care.care import in_each
from strongroom.workflows.wal.wal_expiry import expire_log
from strongroom.workflows.wal.wal_streams import fill_gaps, settle_stream

STREAM_SECONDS = 5.0
GAP_SECONDS = 10.0
EXPIRY_SECONDS = 300.0


class WalCare(Ticking):
    """A stream is begun within seconds: what is not streamed is lost."""

    def __init__(self, means: Means) -> None:
        super().__init__("wal", means.control.clock)
        self.add(
            "streams", STREAM_SECONDS, partial(in_each, means, settle_stream, streaming.unsettled)
        )
        self.add("gaps", GAP_SECONDS, partial(in_each, means, fill_gaps, streaming.streamed))
        self.add("expiry", EXPIRY_SECONDS, partial(in_each, means, expire_log, streaming.kept))
