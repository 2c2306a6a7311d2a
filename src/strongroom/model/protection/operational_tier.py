"""The operational tier: of how many days every second can be restored.

A policy says so for all that it protects (a rule for OperationalStore, as Azure's for blobs and
disks); an instance may keep more by a setting of its own, never less.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from strongroom.model.protection.backup_settings import settings_of
from strongroom.model.protection.policy import parse_policy


def operational_days(properties: Mapping[str, Any], policy: str) -> int:
    """Of an instance with these properties and this policy (ARM's JSON); 0: points alone."""
    return max(settings_of(properties).operational_days, _days_of(policy))


@lru_cache(maxsize=256)
def _days_of(policy: str) -> int:
    return parse_policy(policy).operational_days
