"""What was read from storage has the shape that it must have, or is corrupt."""

from typing import Any

import msgspec

from strongroom.model.errors import Corrupt


def decode_checked(raw: bytes, kind: type[Any]) -> Any:  # noqa: ANN401 - the kind given
    """msgpack -> kind, with every failure typed."""
    try:
        return msgspec.msgpack.decode(raw, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Corrupt(f"not a {kind.__name__}: {error}") from error
