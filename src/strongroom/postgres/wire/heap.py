"""Rows of system catalogues, read out of the pages of a stopped server's files.

Only columns of fixed length at a row's beginning, which no major version from 14 to 18 has moved.
Every row version that a page still holds is given, dead ones too: who reads gets a superset.
Source: PostgreSQL storage/bufpage.h, access/htup_details.h, utils/relmapper.c, catalog/pg_*.h.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from strongroom.model.errors import Corrupt
from strongroom.model.postgres import PAGE

_MAP_MAGIC = 0x592717
_NORMAL = 1
_NAME = 64
_HEADER = 24  # of a page; line pointers follow
_ROW_HEADER = 23


def mapped_files(raw: bytes) -> dict[int, int]:
    """`pg_filenode.map`: catalogue oid -> file number. Raises Corrupt."""
    if len(raw) < 8:
        raise Corrupt("pg_filenode.map is cut off")
    magic, count = struct.unpack_from("<II", raw)
    if magic != _MAP_MAGIC or 8 + count * 8 > len(raw):
        raise Corrupt("pg_filenode.map is not what PostgreSQL writes")
    return dict(struct.unpack_from("<II", raw, 8 + number * 8) for number in range(count))


def rows(page: bytes | memoryview) -> Iterator[bytes]:
    """The data of every row of a heap page; nothing of a page that is empty, new or torn."""
    lower = int.from_bytes(page[12:14], "little")
    if not _HEADER <= lower <= PAGE or len(page) < PAGE:
        return
    for place in range(_HEADER, lower - 3, 4):
        pointer = int.from_bytes(page[place : place + 4], "little")
        start, kind, length = pointer & 0x7FFF, pointer >> 15 & 3, pointer >> 17
        if kind != _NORMAL or length < _ROW_HEADER or start + length > PAGE:
            continue
        row = bytes(page[start : start + length])
        if row[22] <= length:
            yield row[row[22] :]


@dataclass(frozen=True, slots=True)
class Named:
    """oid and name: pg_database, pg_namespace."""

    oid: int
    name: str


@dataclass(frozen=True, slots=True)
class Role:
    """One of pg_authid."""

    oid: int
    name: str
    superuser: bool
    may_log_in: bool


@dataclass(frozen=True, slots=True)
class Relation:
    """One of pg_class. `file` is 0 for what has none and for mapped catalogues."""

    oid: int
    name: str
    schema: int
    file: int
    toast: int


def read_named(row: bytes) -> Named | None:
    """A row of pg_database or pg_namespace."""
    if len(row) < 4 + _NAME:
        return None
    return Named(_oid(row, 0), _name(row, 4))


def read_role(row: bytes) -> Role | None:
    """A row of pg_authid."""
    if len(row) < 4 + _NAME + 5:
        return None
    return Role(_oid(row, 0), _name(row, 4), bool(row[68]), bool(row[72]))


def read_relation(row: bytes, major: int) -> Relation | None:
    """A row of pg_class; 18 has one number more (relallfrozen) before reltoastrelid."""
    toast = 112 if major >= 18 else 108
    if len(row) < toast + 4:
        return None
    return Relation(_oid(row, 0), _name(row, 4), _oid(row, 68), _oid(row, 88), _oid(row, toast))


def read_pair(row: bytes) -> tuple[int, int] | None:
    """The first two oids of a row: (index, table) of pg_index, (child, parent) of pg_inherits."""
    return (_oid(row, 0), _oid(row, 4)) if len(row) >= 8 else None


def _oid(row: bytes, offset: int) -> int:
    return int.from_bytes(row[offset : offset + 4], "little")


def _name(row: bytes, offset: int) -> str:
    raw = row[offset : offset + _NAME].partition(b"\0")[0]
    return raw.decode("utf-8", "surrogateescape")
