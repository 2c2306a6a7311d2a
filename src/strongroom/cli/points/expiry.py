"""What holds the expiry of recovery points: release it."""

from strongroom.cli.basis import console
from strongroom.cli.basis import vault as vaults
from strongroom.cli.basis.means import COMMON, Common, Given


def release(name: str, /, *, common: Common = COMMON, means: Given) -> None:
    """Let the recovery points of a server expire again.

    A point that looks wrong (its size, what has changed, how it compresses, damaged pages, another
    server) or that failed a drill holds the expiry of all older ones, until a later point passes
    a drill or you say that all is as it should be. Whatever looked wrong until now is trusted from
    then on; the audit says who released it.

    ```
    strongroom status
    strongroom drill orders --wait
    strongroom expiry release orders
    ```

    Parameters
    ----------
    name
        The protected server.
    """
    with vaults.opened(common, means) as vault:
        instance = vault.need_instance(name)
        held = instance["properties"]["strongroom"]["expiryHeld"]
        vault.rest.post(f"{vault.instance(name)}/releaseExpiry", {})
    if common.output == "json":
        console.as_json({"name": name, "released": held})
        return
    why = f": it was held since {held['since'][:10]}, {held['why']}" if held else ""
    console.say(f"points of {name} expire again{why}")
