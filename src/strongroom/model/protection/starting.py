"""When a scheduled backup that is due may start: after its share of the spread, within limits.

Where many instances are due at once each waits a while of its own, always the same: no thousand
of them start in one second. Of more than the limits allow the rest stays due, oldest first.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from strongroom.model.fields import Fields, wrong

_MOST_LIMIT = 10_000
_MOST_SECONDS = 3600


class Limits(msgspec.Struct, rename="camel", kw_only=True, frozen=True):
    """How many scheduled backups may be under way at once; a person's own is never held up."""

    backups_per_agent: int = 4
    backups_per_vault: int = 64


def read_limits(body: Fields) -> dict[str, int]:
    """Those that a vault's `properties.strongroom` names. Raises Invalid."""
    found = {}
    for name in Limits.__struct_encode_fields__:
        if body.has(name):
            found[name] = body.number(name, 0)
            if not 1 <= found[name] <= _MOST_LIMIT:
                what = f"{found[name]} is no limit"
                raise wrong(body.path(name), what, f"use 1 to {_MOST_LIMIT}")
    return found


def limits_of(settings: Mapping[str, Any]) -> Limits:
    """Those that the catalogue holds in the settings of a vault."""
    return msgspec.convert(settings.get("strongroom") or {}, Limits)


def wait_seconds(instance_id: str, instances: int, start_within: int | None) -> int:
    """How long an instance's backups wait after their time, one of so many of its policy.

    `start_within`: the policy's own minutes; None: a second for each instance, an hour at most.
    """
    window = min(instances - 1, _MOST_SECONDS) if start_within is None else start_within * 60
    if window <= 0:
        return 0
    digest = hashlib.sha256(instance_id.encode()).digest()
    return int.from_bytes(digest[:8]) % window
