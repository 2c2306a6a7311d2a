"""Stop, suspend and resume the protection of a server."""

from strongroom.cli.basis import console
from strongroom.cli.basis import vault as vaults
from strongroom.cli.basis.means import COMMON, Common, Given
from strongroom.model.protection.protection_state import (
    RESUME_BACKUPS,
    RESUME_PROTECTION,
    STOP,
    SUSPEND,
    SUSPENDED,
    Act,
)


def stop(name: str, /, *, common: Common = COMMON, means: Given) -> None:
    """Stop the backups of a server, and keep its recovery points for ever.

    ```
    strongroom stop orders
    ```

    Parameters
    ----------
    name
        The protected server.
    """
    _change(name, STOP, common, means, "no backups; its points are kept until it is resumed")


def suspend(name: str, /, *, common: Common = COMMON, means: Given) -> None:
    """Suspend the backups of a server; its points end as the policy says, the newest stays.

    ```
    strongroom suspend orders
    ```

    Parameters
    ----------
    name
        The protected server.
    """
    told = "no backups; its points end as their policy says, and the newest good one stays"
    _change(name, SUSPEND, common, means, told)


def resume(name: str, /, *, common: Common = COMMON, means: Given) -> None:
    """Resume the backups of a server that was stopped, suspended or had back.

    What was missed is not made up for; points whose time has ended meanwhile go.

    ```
    strongroom resume orders
    ```

    Parameters
    ----------
    name
        The protected server.
    """
    _change(name, None, common, means, "backups are taken as its policy says")


def _change(name: str, act: Act | None, common: Common, means: Given, told: str) -> None:
    with vaults.opened(common, means) as vault:
        before = vault.need_instance(name)["properties"]["currentProtectionState"]
        if act is None:
            act = RESUME_BACKUPS if before == SUSPENDED else RESUME_PROTECTION
        vault.rest.post(f"{vault.instance(name)}/{act.name}", {})
        state = vault.need_instance(name)["properties"]["currentProtectionState"]
    if common.output == "json":
        console.as_json({"server": name, "before": before, "state": state})
    else:
        console.say(f"{name} is {state}: {told}")
