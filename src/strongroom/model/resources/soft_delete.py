"""How long what was deleted can be had back. Azure: 14 to 180 days, fourteen unless it is said."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from whenever import Instant

OFF, ON, ALWAYS_ON = "Off", "On", "AlwaysOn"
SHORTEST_DAYS, LONGEST_DAYS = 14, 180


@dataclass(frozen=True, slots=True)
class SoftDelete:
    """Of a vault. Off: what is deleted is purged at once."""

    state: str = ON
    days: float = SHORTEST_DAYS

    def purge_at(self, now: Instant) -> Instant:
        """When what is deleted now is purged; whatever the vault says later."""
        return now if self.state == OFF else now.add(hours=24 * self.days)


def soft_delete_of(settings: Mapping[str, Any]) -> SoftDelete:
    """As a vault's settings have it; a vault that was never told has it On."""
    found = (settings.get("securitySettings") or {}).get("softDeleteSettings") or {}
    days = found.get("retentionDurationInDays") or SHORTEST_DAYS
    return SoftDelete(str(found.get("state") or ON), float(days))
