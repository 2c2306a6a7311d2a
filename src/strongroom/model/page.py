"""Long lists, a page at a time: where the next one begins is told by the last row of this one."""

import re
from datetime import UTC, datetime

import msgspec
from whenever import Instant

from strongroom.model.errors import Invalid

SIZE = 100  # rows
LONGEST = 200  # characters of what says where a page begins
_BEHIND = re.compile(r"[-.\w]{1,150}~")
_YEAR_ONE, _YEAR_LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_FIRST = Instant(_YEAR_ONE).timestamp(unit="microsecond")
_LAST = Instant(_YEAR_LAST).timestamp(unit="microsecond")


class Mark(msgspec.Struct, frozen=True):
    """A row of a list that goes from the newest to the oldest: when it was, and its id."""

    at: Instant
    id: str

    def __str__(self) -> str:
        return f"{self.at.timestamp(unit='microsecond')}.{self.id}"


def read_mark(text: str) -> Mark | None:
    """What `str` of a mark says; None for no text. Raises Invalid."""
    if not text:
        return None
    number, dot, name = text.partition(".")
    digits = number.removeprefix("-")
    if not (dot and name and digits.isascii() and digits.isdigit() and len(digits) <= 18):
        raise bad_token(text)
    moment = int(number)
    if not _FIRST <= moment <= _LAST:
        raise bad_token(text)
    return Mark(Instant.from_timestamp(moment, unit="microsecond"), name)


def mark_of(name: str) -> str:
    """Says that a page of a list that goes by names begins behind this one."""
    return f"{name}~"


def read_name(text: str) -> str:
    """What `mark_of` says; empty for no text. Raises Invalid."""
    if text and not _BEHIND.fullmatch(text):
        raise bad_token(text)
    return text[:-1]


def bad_token(text: str) -> Invalid:
    """For what is no place in a list of ours."""
    return Invalid(
        f"{text[:40]!r} is no $skipToken of this list",
        hint="follow nextLink as it is, or begin without $skipToken",
        code="BMSUserErrorInvalidInput",
    )
