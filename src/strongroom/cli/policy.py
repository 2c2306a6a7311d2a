"""Policies: list, show, and what one would do."""

import json
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from whenever import Instant

from strongroom.cli import console
from strongroom.cli import vault as vaults
from strongroom.cli.means import COMMON, Common, Given
from strongroom.model.errors import Invalid, NotFound
from strongroom.model.policy import BackupPolicy, Duration, parse_policy
from strongroom.model.retention import coming


def list_policies(*, common: Common = COMMON, means: Given) -> None:
    """List the policies of the vault.

    ```
    strongroom policy list
    ```
    """
    with vaults.opened(common, means) as vault:
        found = vault.policies()
    if common.output == "json":
        console.as_json(found)
        return
    rows = [(each["name"], _kept(parse_policy(each["properties"]))) for each in found]
    console.table(("policy", "kept"), rows, "no policy yet: `strongroom protect` makes ten-years")


def show(name: str, /, *, common: Common = COMMON, means: Given) -> None:
    """Show a policy: its rules, and its next backups.

    ```
    strongroom policy show ten-years
    strongroom policy show ten-years --output json > ten-years.json
    ```

    Parameters
    ----------
    name
        The policy.
    """
    with vaults.opened(common, means) as vault:
        found = vault.rest.find(vault.policy(name))
    if found is None:
        raise NotFound(
            f"there is no policy named {name!r}", hint="`strongroom policy list` shows them."
        )
    if common.output == "json":
        console.as_json(found)
        return
    _tell(parse_policy(found["properties"]), means.clock.now(), 5)


def preview(
    file: Path,
    /,
    *,
    count: Annotated[int, Parameter(help="How many backups to show.")] = 14,
    common: Common = COMMON,
    means: Given,
) -> None:
    """Say when a policy would take backups and how long each would be kept. Changes nothing.

    ```
    strongroom policy preview ten-years.json --count 40
    ```

    Parameters
    ----------
    file
        A policy as ARM JSON: what `policy show --output json` prints.
    """
    try:
        body = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise Invalid(f"{file} holds no JSON: {error}", hint="Name a policy file.") from error
    policy = parse_policy(body.get("properties", body) if isinstance(body, dict) else body)
    if common.output == "json":
        console.as_json(_coming(policy, means.clock.now(), count))
    else:
        _tell(policy, means.clock.now(), count)


def _tell(policy: BackupPolicy, now: Instant, count: int) -> None:
    console.say(f"kept: {_kept(policy)}")
    rows = [
        (each["at"], each["tag"], each["expiresAt"], each["reason"])
        for each in _coming(policy, now, count)
    ]
    console.table(("next backups (UTC)", "tag", "kept until", "why"), rows, "none")


def _coming(policy: BackupPolicy, now: Instant, count: int) -> list[dict[str, Any]]:
    return [
        {
            "at": fire.at.to_stdlib().strftime("%Y-%m-%d %H:%M"),
            "tag": fire.verdict.tag,
            "expiresAt": fire.verdict.expires_at.to_stdlib().strftime("%Y-%m-%d"),
            "reason": fire.verdict.reason,
        }
        for fire in islice(coming(policy, now), max(0, min(count, 1000)))
    ]


def _kept(policy: BackupPolicy) -> str:
    return ", ".join(f"{r.name} {_words(r.duration)}" for r in policy.retention_rules)


def _words(duration: Duration) -> str:
    units = ("years", "months", "weeks", "days")
    parts = [(getattr(duration, unit), unit) for unit in units]
    return " ".join(f"{n} {unit[:-1] if n == 1 else unit}" for n, unit in parts if n)
