"""A legal hold as it is asked for, read at the door."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from strongroom.model import arm

# What a hold is on its way to; it holds in each of them.
SETTING, HELD, RELEASING = "setting", "held", "releasing"
MOST_REASON = 1000  # letters
_NAME = re.compile(r"[A-Za-z0-9][-._A-Za-z0-9]{0,63}")
_POINT = re.compile(r"[0-9a-f]{32}")


class HoldWish(msgspec.Struct, kw_only=True, frozen=True):
    """`point` empty: the whole instance, with all points that it will have."""

    name: str
    point: str
    reason: str


def read_hold(name: str, properties: Mapping[str, Any]) -> HoldWish:
    """Raises Invalid, with the field named."""
    if not _NAME.fullmatch(name):
        raise arm.invalid(
            f"{name[:80]!r} is no name for a legal hold",
            "use up to 64 letters, digits, dots, dashes and underscores, such as case-2026-117",
        )
    reason = arm.pick_text(properties, "reason").strip()
    if len(reason) > MOST_REASON:
        raise arm.invalid("reason is too long", f"use {MOST_REASON} letters at most")
    point = arm.pick_text(properties, "recoveryPointId").rpartition("/")[2].lower()
    if point and not _POINT.fullmatch(point):
        raise arm.invalid(
            f"recoveryPointId {point[:80]!r} is none", "use 32 hex digits, or leave it out"
        )
    return HoldWish(name=name, point=point, reason=reason)
