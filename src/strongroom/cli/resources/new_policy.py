"""Make a policy, or change one: from a file, or as ten-years with another type of backup."""

import json
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from strongroom.cli.basis import console
from strongroom.cli.basis import vault as vaults
from strongroom.cli.basis.means import COMMON, Common, Given
from strongroom.model.errors import Conflict, Invalid
from strongroom.model.protection.backup_settings import read_days
from strongroom.model.protection.backup_type import FULL, read_backup_type
from strongroom.model.protection.policy import parse_policy
from strongroom.model.protection.policy_templates import ten_years_policy, with_window


def create(  # noqa: PLR0913 - a wish each, by name
    name: str,
    /,
    *,
    file: Annotated[Path | None, Parameter(help="ARM JSON. Default: as ten-years.")] = None,
    backup_type: Annotated[str, Parameter(help="Full, Physical or Logical.")] = "",
    keep_every_second: Annotated[
        str,
        Parameter(help="Stream the log, to restore any second of the last: 7d or P35D, or none."),
    ] = "",
    replace: Annotated[bool, Parameter(negative=(), help="Change one that is there.")] = False,
    common: Common = COMMON,
    means: Given,
) -> None:
    """Make a policy. `Full` takes the best backup that a server allows, `Physical` and `Logical`
    that kind and no other.

    ```
    strongroom policy create dumps --backup-type Logical
    strongroom policy create quarterly --file quarterly.json
    strongroom policy create any-second --keep-every-second 35d
    ```

    Parameters
    ----------
    name
        The policy. Safe twice; another one of that name is changed with --replace alone.
    """
    wanted = _wanted(file, backup_type)
    if keep_every_second:
        wanted = with_window(wanted, read_days(keep_every_second))
    parse_policy(wanted)
    with vaults.opened(common, means) as vault:
        vault.ensure_vault()
        found = vault.rest.find(vault.policy(name))
        same = found is not None and parse_policy(found["properties"]) == parse_policy(wanted)
        if found is None or (replace and not same):
            found = vault.rest.put(vault.policy(name), {"properties": wanted})
        elif not same:
            raise Conflict(
                f"there is a policy {found['name']}, and it says something else",
                hint="Change it, for all that it protects, with --replace, or take another name.",
            )
    if common.output == "json":
        console.as_json(found)
        return
    kind = parse_policy(found["properties"]).backup_type
    console.say(f"policy {found['name']}: {kind} backups. Protect with it: "
                f"strongroom protect CONNINFO --policy {found['name']}")  # fmt: skip


def _wanted(file: Path | None, backup_type: str) -> dict[str, Any]:
    if file is None:
        return ten_years_policy(read_backup_type(backup_type or FULL))
    properties = read_file(file)
    rules = properties.get("policyRules")
    for rule in rules if backup_type and isinstance(rules, list) else []:
        if isinstance(rule, dict) and rule.get("objectType") == "AzureBackupRule":
            parameters = rule.setdefault("backupParameters", {"objectType": "AzureBackupParams"})
            parameters["backupType"] = read_backup_type(backup_type)
    return properties


def read_file(file: Path) -> dict[str, Any]:
    """A policy's properties: of a whole resource, or by themselves. Raises Invalid."""
    try:
        body = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise Invalid(f"{file} holds no JSON: {error}", hint="Name a policy file.") from error
    found = body.get("properties", body) if isinstance(body, dict) else None
    if not isinstance(found, dict):
        raise Invalid(f"{file} holds no policy", hint="`policy show --output json` prints one.")
    return found
