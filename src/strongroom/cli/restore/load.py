"""Load a logical recovery point into a running server."""

from typing import Annotated, Any

from cyclopts import Parameter

from strongroom.cli.basis import console, following
from strongroom.cli.basis import vault as vaults
from strongroom.cli.basis.means import COMMON, Common, Given
from strongroom.cli.basis.vault import Vault
from strongroom.cli.points.points import choose
from strongroom.cli.points.second import FromSecond, agree, begin, give, points_of, validate
from strongroom.cli.restore.plan_text import ask_plan, show
from strongroom.cli.restore.restore_options import Yes
from strongroom.model.errors import Invalid, NotFound
from strongroom.model.work.logical import LOGICAL

Server = Annotated[str, Parameter(help="The running server, as it is registered.")]
PointId = Annotated[
    str, Parameter(help="The point, or the beginning of its id. Default: the newest logical.")
]
Databases = Annotated[
    list[str] | None,
    Parameter(negative="", help="Only this database; once for each. Default: all."),
]
Renames = Annotated[
    list[str] | None, Parameter(negative="", help="OLD=NEW: load a database under another name.")
]
Roles = Annotated[bool, Parameter(negative="", help="Make the roles that the server lacks.")]


def load(  # noqa: PLR0913 - an option each
    name: str,
    /,
    *,
    to_server: Server,
    point: PointId = "",
    database: Databases = None,
    rename: Renames = None,
    with_roles: Roles = False,
    from_second: FromSecond = False,
    yes: Yes = False,
    wait: following.Wait = True,
    common: Common = COMMON,
    means: Given,
) -> None:
    """Load a logical recovery point into a running PostgreSQL of the same or a newer major.

    Databases are made as they were; one that is there already must be empty. Owners and
    privileges are kept when the server has all the roles: --with-roles makes those it lacks.

    ```
    strongroom load orders --to-server reports
    strongroom load orders --to-server orders --rename shop=shop_yesterday
    strongroom load orders --to-server new --database shop --database crm --with-roles
    ```

    Parameters
    ----------
    name
        The protected server whose point it is.
    """
    with vaults.opened(common, means) as vault:
        names = _names(database or [], rename or [])
        chosen = choose_logical(vault, name, point, second=from_second)
        request = load_request(vault, chosen, to_server, names, with_roles=with_roles)
        made = ask_plan(vault, name, request)
        lacks = validate(vault, name, request, second=from_second, into=to_server)
        what = ", ".join(f"{old} as {new}" for old, new in names.items()) or "every database"
        if common.output == "table":
            console.say(f"load of {what} of {name} into {to_server}")
            show(made, common)
        if agree("Load this?", lacks, yes=yes, nothing="nothing was loaded"):
            give(vault, name, request, second=from_second, into=to_server)
        job = begin(vault, name, request, second=from_second)
        if not wait:
            _tell(
                common,
                {"job": job, "plan": made},
                [f"load started: strongroom jobs --follow {job}"],
            )
            return
        done = following.follow(vault, job, f"load of {name}")
    _finished(common, f"loaded {name} into {to_server}", job, done)


def _finished(common: Common, text: str, job: str, done: dict[str, Any]) -> None:
    details = done["properties"]["extendedInfo"]["additionalDetails"]
    steps = [step for key, step in sorted(details.items()) if key.startswith("Next Step")]
    warnings = following.warnings_of(done)
    for warning in warnings:
        console.note(f"warning: {warning}")
    told = {"job": job, "nextSteps": steps, "warnings": warnings}
    _tell(common, told, [text, *(f"next: {step}" for step in steps)])


def choose_logical(vault: Vault, name: str, point: str, *, second: bool = False) -> str:
    """The id of the named point, or of the newest logical one. Raises NotFound."""
    if point:
        return str(choose(vault, name, point, second=second)["id"])
    for each in points_of(vault, name, second=second):
        if each["properties"]["recoveryPointType"] == LOGICAL:
            return str(each["name"])
    raise NotFound(
        f"{name} has no logical recovery point",
        hint=f"Take one: strongroom backup {name} --logical",
    )


def _names(databases: list[str], renames: list[str]) -> dict[str, str]:
    names = {database: database for database in databases}
    for word in renames:
        old, equals, new = word.partition("=")
        if not old or not equals or not new:
            raise Invalid(f"{word[:120]!r} is no new name", hint="Write --rename OLD=NEW.")
        names[old] = new
    return names


def load_request(
    vault: Vault,
    point: str,
    server: str,
    names: dict[str, str],
    *,
    with_roles: bool = False,
) -> dict[str, Any]:
    """ARM's restore request; what is ours stands under `strongroom.load`."""
    return {
        "objectType": "AzureBackupRecoveryPointBasedRestoreRequest",
        "sourceDataStoreType": "VaultStore",
        "recoveryPointId": point,
        "restoreTargetInfo": {
            "objectType": "RestoreTargetInfo",
            "recoveryOption": "FailIfExists",
            "restoreLocation": vault.connection.location,
            "datasourceInfo": vault.source(server),
            "strongroom": {
                "load": {"targetServer": server, "databases": names, "withRoles": with_roles}
            },
        },
        "identityDetails": {"useSystemAssignedIdentity": True},
    }


def _tell(common: Common, told: dict[str, Any], lines: list[str]) -> None:
    if common.output == "json":
        console.as_json(told)
        return
    for line in lines:
        console.say(line)
