"""What a second tells of each table that lost something in it."""

import log_made
from strongroom.model.postgres import Lsn
from strongroom.model.wal import MOST_UNENDED
from strongroom.postgres.log.wal_summary import summary_of
from strongroom.postgres.wire.wal import Commit, WalReader

SECOND = 1_790_000_000


class Names:
    def learn(self, keys: set[str]) -> None:
        del keys

    def name(self, key: str) -> str | None:
        return f"public.{key}"


def _commit(millisecond: int, deleted: dict[str, int], *gone: str) -> Commit:
    at = SECOND * 1_000_000 + millisecond * 1000
    return Commit(Lsn(millisecond), at, 700 + millisecond, deleted, list(gone))


def test_each_table_tells_when_it_lost_the_most_itself() -> None:
    commits = [
        _commit(100, {"orders": 5}),
        _commit(300, {"orders": 31_902, "notes": 1}),
        _commit(500, {"orders": 7}),
        _commit(900, {}, "payments"),
        _commit(950, {}, "payments"),
    ]
    (second,) = summary_of(list(commits), Names()).seconds
    assert second.deleted == {"public.orders": 31_914, "public.notes": 1}
    at = SECOND * 1_000_000
    assert second.deleted_at == {"public.orders": at + 300_000, "public.notes": at + 300_000}
    assert second.gone == ["public.payments"]
    assert second.gone_at == {"public.payments": at + 900_000}


def test_of_very_many_tables_the_ones_that_lost_the_most_are_handed_on() -> None:
    first = 4 * log_made.SEGMENT
    some = [log_made.deletion(701, 5, 90_000)] + 3 * [log_made.deletion(700, 5, 21_050)]
    many = some + [log_made.deletion(700, 5, 30_000 + n) for n in range(2 * MOST_UNENDED)]
    reader = WalReader(Lsn(first), log_made.SEGMENT, 180001)
    reader.feed(log_made.log_of(7, first, many))
    handed = reader.unended()
    assert sum(len(rows) for rows in handed.values()) == MOST_UNENDED
    assert handed[700]["5/21050"] == 3
    few = WalReader(Lsn(first), log_made.SEGMENT, 180001)
    few.feed(log_made.log_of(7, first, some))
    assert few.unended() == {701: {"5/90000": 1}, 700: {"5/21050": 3}}
