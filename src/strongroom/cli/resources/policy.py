"""Policies: list, show, their versions, and what one would keep."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from strongroom.cli.basis import console
from strongroom.cli.basis import vault as vaults
from strongroom.cli.basis.means import COMMON, Common, Given
from strongroom.cli.resources.new_policy import read_file
from strongroom.model.errors import NotFound
from strongroom.model.protection.policy import BackupPolicy, Duration, parse_policy


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
        told = vault.rest.post(f"{vault.policy(name)}/preview", {"years": 1, "count": 5})
    if common.output == "json":
        console.as_json(found)
        return
    console.say(f"kept: {_kept(parse_policy(found['properties']))}")
    _tell_points(told["next"], "none", "next backups")


def preview(  # noqa: PLR0913 - a wish each, by name
    which: str,
    /,
    *,
    on: Annotated[str, Parameter(help="Show the points that exist as this day ends.")] = "",
    since: Annotated[str, Parameter(name="--from", help="Look ahead from this day.")] = "",
    years: Annotated[int, Parameter(help="How many years to look ahead.")] = 10,
    count: Annotated[int, Parameter(help="How many of the next backups to show.")] = 14,
    common: Common = COMMON,
    means: Given,
) -> None:
    """Say which points a policy keeps in the years to come, and why each. Changes nothing.

    ```
    strongroom policy preview ten-years --on 2031-02-28
    strongroom policy preview mine.json --from 2026-01-01 --years 10 --output json
    ```

    Parameters
    ----------
    which
        A policy of the vault by its name, or a file with ARM JSON: what `policy show --output
        json` prints.
    """
    asked: dict[str, Any] = {"years": years, "count": count}
    asked |= {name: text for name, text in (("on", on), ("from", since)) if text}
    name = which
    if _is_file(which):
        asked["properties"], name = read_file(Path(which)), "preview"
    with vaults.opened(common, means) as vault:
        told = vault.rest.post(f"{vault.policy(name)}/preview", asked)
    if common.output == "json":
        console.as_json(told)
    elif on:
        _tell_points(told["points"], f"no point exists as {on} ends", "points")
    else:
        if told["operationalDays"]:
            console.say(f"every second of the last {told['operationalDays']} days can be restored")
        _tell_points(told["next"], "none", "next backups")
        _tell_years(told["years"])


def history(name: str, /, *, common: Common = COMMON, means: Given) -> None:
    """List the versions of a policy: what it has said since when, and who wrote it.

    ```
    strongroom policy history ten-years
    ```

    Parameters
    ----------
    name
        The policy.
    """
    with vaults.opened(common, means) as vault:
        found = vault.rest.list(f"{vault.policy(name)}/versions")
    if common.output == "json":
        console.as_json(found)
        return
    rows = []
    for each in found:
        made = each["systemData"]
        kept = _kept(parse_policy(each["properties"]))
        rows.append((each["name"], made["createdAt"][:16], made["createdBy"], kept))
    console.table(("version", "since (UTC)", "by", "kept"), rows, "none")


def apply(
    name: str,
    /,
    *,
    dry_run: Annotated[bool, Parameter(negative=(), help="Change nothing, only tell.")] = False,
    common: Common = COMMON,
    means: Given,
) -> None:
    """Give the points that exist the ends that a policy names now. Without it they keep theirs.

    Nothing ends sooner than a lock or a hold allows; what ends sooner may need a second person.

    ```
    strongroom policy apply ten-years --dry-run
    strongroom policy apply ten-years
    ```

    Parameters
    ----------
    name
        The policy.
    """
    with vaults.opened(common, means) as vault:
        path = f"{vault.policy(name)}/applyToPoints"
        changes = vault.rest.post(path, {"dryRun": True})["value"]
        if not dry_run:
            vault.rest.post(path, {})
    if common.output == "json":
        console.as_json(changes)
        return
    rows = [
        (
            each["backupInstance"],
            each["takenAt"][:10],
            each["tag"],
            each["expiresAt"][:10],
            each["becomes"][:10],
            each["why"],
        )
        for each in changes
    ]
    columns = ("server", "taken", "tag", "kept until", "now until", "why")
    console.table(columns, rows, "every point ends as the policy says")


def _is_file(which: str) -> bool:
    return which.endswith(".json") or "/" in which


def _tell_points(points: list[dict[str, Any]], empty: str, title: str) -> None:
    rows = [
        (each["takenAt"][:16].replace("T", " "), each["tag"], each["expiresAt"][:10], each["why"])
        for each in points
    ]
    console.table((f"{title} (UTC)", "tag", "kept until", "why"), rows, empty)


def _tell_years(years: list[dict[str, Any]]) -> None:
    console.say()
    rows = []
    for each in years:
        tags = ", ".join(f"{count} {tag}" for tag, count in each["byTag"].items())
        rows.append((each["at"][:10], str(each["points"]), tags))
    console.table(("on", "points", "of them"), rows, "less than a year")


def _kept(policy: BackupPolicy) -> str:
    kept = [f"{r.name} {_words(r.duration)}" for r in policy.retention_rules]
    if policy.operational_days:
        kept.append(f"every second {_words(Duration(days=policy.operational_days))}")
    return ", ".join(kept)


def _words(duration: Duration) -> str:
    units = ("years", "months", "weeks", "days")
    parts = [(getattr(duration, unit), unit) for unit in units]
    return " ".join(f"{n} {unit[:-1] if n == 1 else unit}" for n, unit in parts if n)
