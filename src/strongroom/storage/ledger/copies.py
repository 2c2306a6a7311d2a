"""What a store that is filled from another remembers: how far it is, and what went there."""

from collections.abc import Set as AbstractSet

from whenever import Instant

from strongroom.storage.ledger.ledger import Ledger, instant_of, micros_of

Hold = tuple[str, str]  # name, identifier


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
        """Names that have been gone there since then, and longer.

        From the last one back: what names others (`p/`) goes before what it names (`g/`).
        """
        query = "SELECT name FROM gone WHERE container = ? AND since <= ? ORDER BY name DESC"
        with self._ledger.reading() as connection:
            found = connection.execute(query, [container, micros_of(before)])
            return [row[0] for row in found]

    def note_brought(self, container: str, holds: AbstractSet[Hold]) -> None:
        """Holds that a pull is about to set here: what it has brought it may lift one day."""
        with self._ledger.writing() as connection:
            connection.executemany(
                "INSERT INTO brought_holds VALUES (?, ?, ?, NULL) ON CONFLICT DO NOTHING",
                [[container, *hold] for hold in holds],
            )

    def note_lifted(self, container: str, there: AbstractSet[Hold], now: Instant) -> None:
        """Of what was brought, all but `there` is lifted there since now, unless it was before.

        What is there again is as if it had never been lifted.
        """
        query = "SELECT name, id, lifted FROM brought_holds WHERE container = ?"
        with self._ledger.writing() as connection:
            known = {row[:2]: row[2] for row in connection.execute(query, [container])}
            changed = [
                [None if hold in there else micros_of(now), container, *hold]
                for hold, lifted in known.items()
                if (hold in there) == (lifted is not None)
            ]
            connection.executemany(
                "UPDATE brought_holds SET lifted = ? WHERE container = ? AND name = ? AND id = ?",
                changed,
            )

    def lifted_since(self, container: str, before: Instant) -> list[Hold]:
        """Holds that were brought, and have been lifted there since then, and longer."""
        query = "SELECT name, id FROM brought_holds WHERE container = ? AND lifted <= ?"
        with self._ledger.reading() as connection:
            found = connection.execute(query, [container, micros_of(before)])
            return [(name, identifier) for name, identifier in found]

    def forget_brought(self, container: str, hold: Hold) -> None:
        """It is lifted here as well."""
        with self._ledger.writing() as connection:
            connection.execute(
                "DELETE FROM brought_holds WHERE container = ? AND name = ? AND id = ?",
                [container, *hold],
            )
