"""How backups of a server are taken: show it, change it."""

from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from strongroom.cli.basis import console
from strongroom.cli.basis import vault as vaults
from strongroom.cli.basis.means import COMMON, Common, Given, Means
from strongroom.cli.basis.rest import short_time
from strongroom.model.errors import Invalid
from strongroom.model.protection.backup_settings import (
    BackupSettings,
    read_days,
    read_rate,
    read_settings,
    settings_of,
)

_NONE = "none"


def set_settings(  # noqa: PLR0913 - an option each
    name: str,
    /,
    *,
    bandwidth: Annotated[str, Parameter(help="Into storage: 50MiB/s, or none.")] = "",
    compression: Annotated[int | None, Parameter(help="zstd's level, 1 to 19.")] = None,
    parallel: Annotated[
        int | None,
        Parameter(help="Databases, or pieces of a file, at once: 1 to 8; 0: by itself."),
    ] = None,
    window: Annotated[
        str,
        Parameter(help="When scheduled backups may start: 22:00-06:00@Europe/Prague, or none."),
    ] = "",
    drill_every: Annotated[
        str, Parameter(help="How often points are drilled: 7d or P7D, or none.")
    ] = "",
    keep_every_second: Annotated[
        str,
        Parameter(help="Stream the log, to restore any second of the last: 7d or P35D, or none."),
    ] = "",
    hold_at_most: Annotated[
        str, Parameter(help="So much log a server keeps for a vault that is away: 16GiB.")
    ] = "",
    common: Common = COMMON,
    means: Given,
) -> None:
    """Set how backups of a protected server are taken. What is not named stays as it is.

    A scheduled backup starts within the window only, and one that is due outside of it waits until
    the next one opens; a backup on demand never waits. With --drill-every the newest point is
    drilled so often, and one of its elders, in turn (`strongroom drill`).

    ```
    strongroom server set orders --bandwidth 50MiB/s --window 22:00-06:00@Europe/Prague
    strongroom server set orders --drill-every 7d --keep-every-second 7d
    ```

    Parameters
    ----------
    name
        The protected server.
    """
    asked = {
        "bandwidth": read_rate(bandwidth) if bandwidth else None,
        "compressionLevel": compression,
        "parallelism": parallel,
        "window": "" if window.lower() == _NONE else window or None,
        "drillDays": read_days(drill_every) if drill_every else None,
        "operationalDays": read_days(keep_every_second) if keep_every_second else None,
        "slotBytes": read_rate(hold_at_most) if hold_at_most else None,
    }
    asked = {name: value for name, value in asked.items() if value is not None}
    _set(name, asked, common, means)


def _set(name: str, asked: dict[str, Any], common: Common, means: Means) -> None:
    if not asked:
        raise Invalid("nothing is to be set", hint="Name a setting: --bandwidth 50MiB/s.")
    read_settings(asked)
    with vaults.opened(common, means) as vault:
        instance = vault.need_instance(name)
        known = settings_of(instance["properties"])
        found = vault.set_settings(instance, read_settings({**known.to_dict(), **asked}))
    _tell(common, name, found)


def show(name: str, /, *, common: Common = COMMON, means: Given) -> None:
    """Show how backups of a protected server are taken, and when the next one begins.

    ```
    strongroom server show orders
    ```

    Parameters
    ----------
    name
        The protected server.
    """
    with vaults.opened(common, means) as vault:
        found = vault.need_instance(name)
    _tell(common, name, found)


def words_of(settings: BackupSettings) -> dict[str, str]:
    """The settings that are not as they were made, for people."""
    usual = msgspec.to_builtins(BackupSettings())
    words = {
        "bandwidth": f"{console.size(settings.bandwidth)}/s",
        "compressionLevel": f"level {settings.compression_level}",
        "parallelism": f"{settings.parallelism} side by side",
        "window": settings.window,
        "drillDays": f"drilled every {settings.drill_days} days",
        "operationalDays": f"every second of {settings.operational_days} days",
        "slotBytes": f"at most {console.size(settings.slot_bytes)} of log held for us",
    }
    told = settings.to_dict()
    return {name: text for name, text in words.items() if told[name] != usual[name]}


def _window_of(days: int) -> str:
    return f"of the last {days} days" if days else "not kept: recovery points alone"


def _tell(common: Common, name: str, instance: dict[str, Any]) -> None:
    told = instance["properties"]
    ours = told["strongroom"]
    settings = read_settings(ours["settings"])
    if common.output == "json":
        console.as_json({"name": name, **ours})
        return
    shown = words_of(settings)
    times = {"next backup": ours["nextBackup"], "waits since": ours["heldSince"]}
    console.say(f"{name} is {told['currentProtectionState']}")
    console.facts(
        {
            "policy": told["policyInfo"]["policyId"].rpartition("/")[2],
            "bandwidth": shown.get("bandwidth", "no limit"),
            "compression": f"level {settings.compression_level}",
            "side by side": str(settings.parallelism or "by itself"),
            "window": settings.window or "at any time",
            "every second": _window_of(ours["operationalDays"]),
            "drills": f"every {settings.drill_days} days" if settings.drill_days else "on demand",
            **{what: f"{short_time(at)} UTC" for what, at in times.items() if at},
        }
    )
