"""What waits for a second person, and their decision; what can still be withdrawn."""

import json
from typing import Annotated, Any

from cyclopts import Parameter
from whenever import Instant

from strongroom.cli.basis import console
from strongroom.cli.basis import vault as vaults
from strongroom.cli.basis.means import COMMON, Common, Given
from strongroom.cli.basis.rest import moment
from strongroom.cli.basis.vault import Vault


def list_approvals(
    *,
    everything: Annotated[bool, Parameter(name="--all", help="Those decided, too.")] = False,
    common: Common = COMMON,
    means: Given,
) -> None:
    """List what waits for somebody's approval, and what is approved and not done yet.

    ```
    strongroom approve list --data anna/
    strongroom approve list --all
    ```
    """
    with vaults.opened(common, means) as vault:
        found = vault.rest.list(_place(vault))
    shown = [each for each in found if everything or each["state"] in _OPEN]
    if common.output == "json":
        console.as_json(shown)
        return
    rows = [(each["id"], _state(each), each["words"], _asked(each)) for each in shown]
    console.table(("request", "state", "what", "asked"), rows, "nothing waits")


def grant(
    request: str,
    /,
    *,
    hours: Annotated[float | None, Parameter(help="How long it is good for. Default: 8.")] = None,
    common: Common = COMMON,
    means: Given,
) -> None:
    """Let exactly what was asked through, once. Nobody approves their own request.

    ```
    strongroom approve grant 018f2c3d-4e5f-4071-8293-a4b5c6d7e8f9 --data anna/
    ```

    Parameters
    ----------
    request
        Its id: `strongroom approve list` shows it.
    """
    with vaults.opened(common, means) as vault:
        asked = {} if hours is None else {"hours": hours}
        _tell(common, vault.rest.post(f"{_place(vault)}/{request}/grant", asked))


def deny(request: str, /, *, common: Common = COMMON, means: Given) -> None:
    """Say no to what was asked.

    ```
    strongroom approve deny 018f2c3d-4e5f-4071-8293-a4b5c6d7e8f9 --data anna/
    ```

    Parameters
    ----------
    request
        Its id: `strongroom approve list` shows it.
    """
    with vaults.opened(common, means) as vault:
        _tell(common, vault.rest.post(f"{_place(vault)}/{request}/deny", {}))


def withdraw(request: str, /, *, common: Common = COMMON, means: Given) -> None:
    """Take back what was asked for, or an approval of it, before it is used.

    ```
    strongroom approve withdraw 018f2c3d-4e5f-4071-8293-a4b5c6d7e8f9
    ```

    Parameters
    ----------
    request
        Its id: `strongroom approve list` shows it.
    """
    with vaults.opened(common, means) as vault:
        _tell(common, vault.rest.post(f"{_place(vault)}/{request}/withdraw", {}))


_OPEN = ("Waiting", "Granted")


def _state(found: dict[str, Any]) -> str:
    good = moment(found["goodFrom"]) if found["state"] == "Granted" else None
    return f"{found['state']}, good from {_second(good)}" if good else str(found["state"])


def _second(at: Instant | None) -> str:
    return at.round("second").format_iso() if at else ""


def _place(vault: Vault) -> str:
    home = f"/subscriptions/{vault.connection.subscription}"
    return f"{home}/providers/Microsoft.DataProtection/approvals"


def _asked(found: dict[str, Any]) -> str:
    exactly = json.dumps(found["asked"], sort_keys=True) if found["asked"] else ""
    return f"{found['scope'].rpartition('/')[2]} {exactly}".strip()[:160]


def _tell(common: Common, found: dict[str, Any]) -> None:
    if common.output == "json":
        console.as_json(found)
        return
    console.facts(
        {
            "request": f"{found['id']}: {_state(found)}",
            "what": f"{found['words']}: {found['scope']}",
            "exactly": json.dumps(found["asked"], sort_keys=True),
            "asked by": found["askedBy"],
            "until": _second(moment(found["expiresAt"])),
        }
    )
