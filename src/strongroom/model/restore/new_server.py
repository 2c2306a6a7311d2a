"""A new server out of a moment of another: Azure's `createMode: PointInTimeRestore`.

Where it lies is ours to say (`properties.strongroom`: targetDirectory, port, tablespaces); left
out, beside its source, under its own name. Source: azure-mgmt-postgresqlflexibleservers, Server.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from strongroom.model import arm

_USUAL = {"", "default", "create", "update"}
_MODE, _MOMENT = "properties.createMode", "properties.pointInTimeUTC"


class NewServer(msgspec.Struct, kw_only=True, frozen=True):
    """What is asked: of which server, as it was when, and where to."""

    source: arm.ServerRef
    at: str  # ISO 8601
    wish: dict[str, Any]

    def to_request(self, name: str, data_directory: str) -> dict[str, Any]:
        """As a restore is asked for. `data_directory`: of the source, empty when nobody knows."""
        parent, _, own = data_directory.rstrip("/").rpartition("/")
        beside = f"{parent}/{name}" if own else ""
        place = {"targetDirectory": beside, "start": True, **self.wish}
        return {
            "objectType": "AzureBackupRecoveryTimeBasedRestoreRequest",
            "recoveryPointTime": self.at,
            "restoreTargetInfo": {"objectType": "RestoreTargetInfo", "strongroom": place},
        }


def read_new_server(properties: Mapping[str, Any], subscription: str) -> NewServer | None:
    """None when no server is made of another. Raises Invalid, with the field."""
    mode = arm.pick_text(properties, "createMode")
    if mode.lower() in _USUAL:
        return None
    if mode.lower() != "pointintimerestore":
        raise arm.invalid(f"{_MODE}: {mode[:40]!r} is not offered", "use PointInTimeRestore")
    source = arm.pick_text(properties, "sourceServerResourceId")
    at = arm.pick_text(properties, "pointInTimeUTC")
    if not at:
        raise arm.invalid(f"{_MOMENT} is missing", "send 2026-11-26T21:04:05.5Z")
    ours = arm.pick_object(properties, "strongroom")
    names = ("targetDirectory", "port", "tablespaces")
    wish = {name: arm.pick(ours, name) for name in names}
    return NewServer(
        source=arm.read_server_id(source, subscription),
        at=at,
        wish={name: value for name, value in wish.items() if value is not None},
    )
