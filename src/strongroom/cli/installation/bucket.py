"""What the storage on this machine says of the bucket that its blobs lie in."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

_FILE = "back-end.json"


class _BackEnd(msgspec.Struct, rename="camel"):
    kind: str
    native_locks: bool
    locks_waiting: int
    puts_waiting: int
    deletions_waiting: int
    behind_since: str | None


def wrong_with_bucket(store: Path) -> Iterator[tuple[str, str]]:
    """(what is wrong, the next step), of a store's directory; nothing where there is no bucket."""
    try:
        told = msgspec.json.decode((store / _FILE).read_bytes(), type=_BackEnd)
    except FileNotFoundError:
        return
    except (OSError, msgspec.MsgspecError) as error:
        yield f"{store / _FILE} cannot be read: {error}", "see the log of the store"
        return
    if not told.native_locks:
        yield (
            f"the storage lies in {told.kind}, which keeps nothing by itself: whoever has the "
            "account's keys can delete what is locked",
            "take a bucket with object lock (docs/operations.md), or keep a second copy elsewhere",
        )
    if told.behind_since is not None:
        waiting = (
            f"{told.puts_waiting} objects to be put, {told.locks_waiting} locks to be extended, "
            f"{told.deletions_waiting} to be deleted"
        )
        yield (
            f"the bucket of the storage is behind since {told.behind_since}: {waiting}",
            "see that the provider can be reached and allows it: the store's log, back_end_waits "
            "and native_lock_waits",
        )
