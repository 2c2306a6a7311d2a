"""Cancel a job that is under way."""

from strongroom.cli.basis import console, following
from strongroom.cli.basis import vault as vaults
from strongroom.cli.basis.means import COMMON, Common, Given
from strongroom.model.errors import Cancelled


def cancel(job: str, /, *, common: Common = COMMON, means: Given) -> None:
    """Cancel a backup, restore, verification or drill that is under way, and wait for its end.

    The agent lets go within seconds. Of a backup nothing becomes a recovery point; what it has
    stored the next backup goes on with, or it is collected. Safe twice.

    ```
    strongroom cancel 0f3d1c52-7c4e-4d59-9a3b-2d6e54a8f001
    ```

    Parameters
    ----------
    job
        The job: `strongroom jobs` lists them.
    """
    with vaults.opened(common, means) as vault:
        left = ""
        vault.rest.post(f"{vault.job(job)}/cancel", {})
        try:
            done = following.follow(vault, job, f"job {job[:8]}")
        except Cancelled as cancelled:
            done = vault.rest.get(vault.job(job))
            left = "" if cancelled.hint == Cancelled.advice else cancelled.hint
    status = done["properties"]["status"]
    if common.output == "json":
        console.as_json({"id": done["name"], "status": status})
    else:
        console.say(f"job {done['name']} is {status}")
        if left:
            console.note(left)
