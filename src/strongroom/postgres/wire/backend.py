"""Messages of the server around COPY data: what kind, how long, and what rows and errors hold.

Source: PostgreSQL manual, "Message Formats" and "Error and Notice Message Fields".
"""

import struct
from collections.abc import Mapping
from enum import IntEnum

from strongroom.model.errors import Corrupt

HEAD = struct.Struct(">BI")  # kind, and length with the four bytes of the length itself
MOST_BYTES = (
    64 << 20
)  # of one message: a server sends 32 KiB at once, and rows of some hundred bytes
_NULL = -1
_HINT = "See that nothing between agent and server changes the protocol."


class Kind(IntEnum):
    """The kinds that a command of replication is answered with."""

    ROW_DESCRIPTION = ord("T")
    DATA_ROW = ord("D")
    COMMAND_COMPLETE = ord("C")
    COPY_OUT = ord("H")
    COPY_DATA = ord("d")
    COPY_DONE = ord("c")
    ERROR = ord("E")
    NOTICE = ord("N")
    PARAMETER_STATUS = ord("S")
    READY = ord("Z")


def whole_size(length: int) -> int:
    """Bytes of a message whose head states that length."""
    if not HEAD.size - 1 <= length <= MOST_BYTES:
        raise Corrupt(f"the server sends a message of {length} bytes", hint=_HINT)
    return 1 + length


def data_row(body: memoryview) -> list[bytes]:
    """The columns of a DataRow; empty where one is null."""
    try:
        (count,) = struct.unpack_from(">H", body)
        at = 2
        columns = []
        for _ in range(count):
            (length,) = struct.unpack_from(">i", body, at)
            at += 4
            end = at + max(length, 0)
            if length < _NULL or end > len(body):
                raise Corrupt("a malformed row from the server", hint=_HINT)
            columns.append(bytes(body[at:end]))
            at = end
    except struct.error as error:
        raise Corrupt("a malformed row from the server", hint=_HINT) from error
    return columns


def error_fields(body: memoryview) -> Mapping[str, str]:
    """Of an error or a notice: `V` severity, `C` SQLSTATE, `M` message, and others, by letter."""
    parts = bytes(body).split(b"\0")
    return {
        part[:1].decode("ascii", "replace"): part[1:].decode(errors="replace")
        for part in parts
        if part
    }
