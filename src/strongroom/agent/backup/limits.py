"""What one backup may take: its share of memory, its lanes, and how fast it may send."""

from dataclasses import replace

from strongroom.agent.memory import Share
from strongroom.datastore.places.throttle import Throttle
from strongroom.model.seams import Clock
from strongroom.model.work.operation import BackupOrder

_LEAST_PACK = 4 << 20
_STEP = 1 << 20


class Limits:
    """Of one agent: its own bandwidth is shared by all backups that run side by side."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._all = Throttle(clock)

    def applied(self, order: BackupOrder, share: Share, bandwidth: int) -> Share:
        """The share under the instance's settings and the agent's own bandwidth (0: no limit).

        Where either is slow, packs are small: each goes in about a second.
        """
        one = Throttle(self._clock)

        def pace(count: int) -> float:
            return max(one.reserve(count, order.bandwidth), self._all.reserve(count, bandwidth))

        slowest = min(filter(None, (order.bandwidth, bandwidth)), default=share.pack_raw_size)
        small = max(_LEAST_PACK, slowest // _STEP * _STEP)
        return replace(
            share,
            pack_raw_size=min(share.pack_raw_size, small),
            lanes=order.parallelism or share.lanes,
            pace=pace,
        )
