"""How backups of an instance are taken: settings beside the policy, an extension of the API."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from strongroom.model.errors import Invalid
from strongroom.model.protection.policy import MOST_WINDOW_DAYS
from strongroom.model.protection.window import Window

BEST_LEVEL, MOST_LANES = 19, 8
MOST_DRILL_DAYS = 366
LEAST_BANDWIDTH = 64 << 10  # bytes a second: less, and a pack outlives any patience
LEAST_SLOT = 64 << 20  # four segments
_RATE = re.compile(r"(\d{1,12})(?:\.(\d))?\s*([KMGT]?)(i?)(?:B|)(?:/s)?")
_DAYS = re.compile(r"P?(\d{1,4})d?", re.IGNORECASE)
_STEPS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


class BackupSettings(msgspec.Struct, rename="camel", kw_only=True, frozen=True):
    """bandwidth: bytes a second into storage, 0: no limit. compression_level: zstd's, 1 to 19.

    parallelism: databases dumped, or pieces of a file read, side by side, 1 to 8; 0: by itself.
    window: when scheduled backups may start (model/protection/window.py), empty: at any time.
    drill_days: the newest point and one of its elders are drilled once in so many days; 0: never.
    operational_days: every second of so many days can be restored; 0: as the policy says.
    slot_bytes: what the server may keep of its log for a vault that is away; 0: 16 GiB.
    """

    bandwidth: int = 0
    compression_level: int = 1
    parallelism: int = 0
    window: str = ""
    drill_days: int = 0
    operational_days: int = 0
    slot_bytes: int = 0

    def to_dict(self) -> dict[str, Any]:
        """As `read_settings` takes it."""
        told: dict[str, Any] = msgspec.to_builtins(self)
        return told


def read_settings(value: object) -> BackupSettings:
    """Checked at the door. What is absent or null is as if nobody had said anything of it.

    Raises Invalid with the first thing that is wrong.
    """
    if not isinstance(value, Mapping):
        raise _invalid("settings are no object", "send an object of settings")
    given = {str(name).lower(): found for name, found in value.items() if found is not None}
    names = BackupSettings.__struct_encode_fields__
    for name in given:
        if name not in {known.lower() for known in names}:
            raise _invalid(f"there is no setting {name[:60]!r}", f"there is {', '.join(names)}")
    bandwidth = _number(given, "bandwidth", 0, 1 << 50)
    if 0 < bandwidth < LEAST_BANDWIDTH:
        raise _invalid(
            f"bandwidth {bandwidth} is too little for a backup",
            f"give {LEAST_BANDWIDTH} bytes a second (64 KiB/s) or more, or 0 for no limit",
        )
    slot_bytes = _number(given, "slotBytes", 0, 1 << 50)
    if 0 < slot_bytes < LEAST_SLOT:
        raise _invalid(
            f"slotBytes {slot_bytes} is too little: the next moment would be a gap",
            f"give {LEAST_SLOT} bytes (64 MiB) or more, or 0 for 16 GiB",
        )
    window = given.get("window", "")
    if not isinstance(window, str):
        raise _invalid("window is no text", "write it as 22:00-06:00@Europe/Prague")
    return BackupSettings(
        bandwidth=bandwidth,
        compression_level=_number(given, "compressionLevel", 1, BEST_LEVEL, least=1),
        parallelism=_number(given, "parallelism", 0, MOST_LANES),
        window=str(Window.parse(window)) if window else "",
        drill_days=_number(given, "drillDays", 0, MOST_DRILL_DAYS),
        operational_days=_number(given, "operationalDays", 0, MOST_WINDOW_DAYS),
        slot_bytes=slot_bytes,
    )


def settings_of(properties: Mapping[str, Any]) -> BackupSettings:
    """Those that the catalogue holds in the properties of an instance."""
    return msgspec.convert(
        (properties.get("strongroom") or {}).get("settings") or {}, BackupSettings
    )


def window_of(settings: BackupSettings) -> Window | None:
    """The window, when there is one."""
    return Window.parse(settings.window) if settings.window else None


def read_rate(text: str) -> int:
    """`50MiB/s`, `50M`, `1.5 GB/s` or bytes -> bytes a second; `none` is 0. Raises Invalid.

    A bare letter counts in powers of 1024, as `KiB` does; `KB` counts in powers of 1000.
    """
    if text.strip().lower() == "none":
        return 0
    found = _RATE.fullmatch(text.strip())
    if found is None:
        raise _invalid(f"{text[:40]!r} is not a bandwidth", "write it as 50MiB/s, or none")
    decimal = text.strip().removesuffix("/s").endswith("B") and not found[4]
    step: int = (1000 if decimal else 1024) ** _STEPS[found[3]]
    return int(found[1]) * step + int(found[2] or 0) * step // 10


def read_days(text: str) -> int:
    """`7d`, `P7D` or 7 -> whole days; `none` is 0. Raises Invalid."""
    if text.strip().lower() == "none":
        return 0
    found = _DAYS.fullmatch(text.strip())
    if found is None:
        raise _invalid(f"{text[:40]!r} is no number of days", "write it as 7d, or none")
    return int(found[1])


def _number(
    given: Mapping[str, Any], name: str, default: int, most: int, *, least: int = 0
) -> int:
    found = given.get(name.lower(), default)
    if isinstance(found, bool) or not isinstance(found, int) or not least <= found <= most:
        raise _invalid(
            f"{name} {str(found)[:40]!r} is out of range",
            f"give a whole number from {least} to {most}",
        )
    return found


def _invalid(message: str, hint: str) -> Invalid:
    return Invalid(message, hint=hint, code="BMSUserErrorInvalidInput")
