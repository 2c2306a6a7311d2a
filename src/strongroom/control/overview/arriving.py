"""How the changes of all instances arrive: who streams, who is behind, where log is lost."""

from collections.abc import Sequence
from dataclasses import dataclass

from whenever import Instant

from strongroom.catalog.wal import wal_spans
from strongroom.control.basis.control import Control
from strongroom.control.overview.fleet import Ship

GAP_DAYS = 14


@dataclass(frozen=True, slots=True)
class Arriving:
    """streaming: how many do; behind: seconds at most, of `furthest`. waiting: those that do not

    stream though they did. gaps: of the last days, the newest first.
    """

    streaming: int
    behind: float
    furthest: Ship | None
    waiting: list[Ship]
    gaps: list[tuple[Ship, Instant]]


def how_changes_arrive(control: Control, ships: Sequence[Ship]) -> Arriving | None:
    """Of the `ships` that whoever asks has seen; None where no log ever came."""
    by_id, now = {ship.id: ship for ship in ships}, control.clock.now()
    with control.database.reading() as connection:
        rows = wal_spans.streams_of(connection, list(by_id))
        gaps = wal_spans.gaps_since(connection, now.subtract(hours=24 * GAP_DAYS))
    if not rows:
        return None
    lags = {
        row["instance_id"]: (now - row["kept_at"]).total("seconds")
        for row in rows
        if row["facts"].get("state") == "Streaming"
    }
    furthest = max(lags, key=lambda each: lags[each], default=None)
    return Arriving(
        streaming=len(lags),
        behind=max(0.0, lags[furthest]) if furthest else 0.0,
        furthest=by_id[furthest] if furthest else None,
        waiting=[by_id[row["instance_id"]] for row in rows if row["instance_id"] not in lags],
        gaps=[(by_id[of], at) for of, at in gaps if of in by_id],
    )
