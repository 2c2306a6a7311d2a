"""What a store that is filled from another remembers: how far it is, and what is gone there."""

from collections.abc import Set as AbstractSet

from whenever import Instant

from strongroom.storage.ledger import Ledger, instant_of, micros_of


class Copies:
    """In the ledger. Thread-safe as the ledger is."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def pulled_upto(self) -> Instant | None:
        """All that was at the first endpoint then is here; None: never yet."""
        with self._ledger.reading() as connection:
            row = connection.execute("SELECT upto FROM pulled").fetchone()
        return None if row is None else instant_of(row[0])

    def note_pulled(self, upto: Instant) -> None:
        """A pass that began then has found all of it here."""
        with self._ledger.writing() as connection:
            connection.execute(
                "INSERT INTO pulled VALUES (1, ?) ON CONFLICT DO UPDATE SET upto = excluded.upto",
                [micros_of(upto)],
            )

    def note_gone(self, container: str, names: AbstractSet[str], now: Instant) -> None:
        """All that is gone from a container there; what is back is forgotten."""
        with self._ledger.writing() as connection:
            query = "SELECT name FROM gone WHERE container = ?"
            known = {row[0] for row in connection.execute(query, [container])}
            connection.executemany(
                "DELETE FROM gone WHERE container = ? AND name = ?",
                [[container, name] for name in known - names],
            )
            connection.executemany(
                "INSERT INTO gone VALUES (?, ?, ?)",
                [[container, name, micros_of(now)] for name in names - known],
            )

    def gone_since(self, container: str, before: Instant) -> list[str]:
        """Names that have been gone there since then, and longer."""
        query = "SELECT name FROM gone WHERE container = ? AND since <= ? ORDER BY name"
        with self._ledger.reading() as connection:
            found = connection.execute(query, [container, micros_of(before)])
            return [row[0] for row in found]
