"""Who else may sign in: a second administrator, an approver."""

import os
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from cyclopts import Parameter

from strongroom.cli.basis import console
from strongroom.cli.basis import vault as vaults
from strongroom.cli.basis.connection import FILE, Connection, data_directory, serve_directory
from strongroom.cli.basis.means import COMMON, Common, Given
from strongroom.cli.basis.vault import Vault
from strongroom.model.errors import Conflict, Invalid, NotFound
from strongroom.model.identities import access
from strongroom.model.ids import uuid4

_CA = "ca.pem"


def add(
    name: str,
    /,
    *,
    to: Annotated[Path, Parameter(help="A new directory: what they sign in with is put there.")],
    approver: Annotated[bool, Parameter(help="They may approve at every guard.")] = False,
    role: Annotated[str, Parameter(help="A role in the whole subscription, such as Owner.")] = "",
    common: Common = COMMON,
    means: Given,
) -> None:
    """Add somebody who signs in: a second administrator, or an approver.

    Carry the directory to them, and have them change their secret first thing: from then on you
    do not know it.

    ```
    strongroom principal add anna --to anna/ --approver
    strongroom principal add ben --to ben/ --role "Backup Operator"
    strongroom principal renew --data anna/
    ```

    Parameters
    ----------
    name
        Their name: letters, digits and hyphens.
    """
    wanted = _role(role) if role else None
    with vaults.opened(common, means) as vault:
        guards = vault.rest.list(f"{_subscription(vault)}/{_GUARDS}") if approver else []
        if approver and not guards:
            raise NotFound(
                "there is no resource guard at which they could approve",
                hint="Make one first: strongroom guard create NAME",
            )
        _make_directory(to)
        made = vault.rest.put(f"{_subscription(vault)}/{_PRINCIPALS}/{name}", {})
        _write(vault.connection, to, made)
        for guard in guards:
            _assign(vault, means, guard["id"], access.MUA_OPERATOR, made["id"])
        if wanted is not None:
            _assign(vault, means, _subscription(vault), wanted, made["id"])
    console.note(f"{name} signs in with {to}; there: strongroom principal renew --data {to}")


def link(  # noqa: PLR0913 - options
    name: str,
    /,
    *,
    issuer: Annotated[str, Parameter(help="Who vouches for them: strongroom issuer list.")],
    subject: Annotated[str, Parameter(help="What that issuer calls them: a user, or a group.")],
    kind: Annotated[
        Literal["user", "group", "service"], Parameter(help="What they are.")
    ] = "user",
    role: Annotated[str, Parameter(help="A role in the whole subscription, such as Reader.")] = "",
    approver: Annotated[bool, Parameter(help="They may approve at every guard.")] = False,
    common: Common = COMMON,
    means: Given,
) -> None:
    """Name somebody whom a trusted issuer vouches for, and give them a role.

    ```
    strongroom principal link dba-team --issuer corp --subject dba --kind group --role Contributor
    ```

    Parameters
    ----------
    name
        What they are called here: letters, digits and hyphens.
    """
    wanted = _role(role) if role else None
    told = {"properties": {"issuer": issuer, "subject": subject, "kind": kind}}
    with vaults.opened(common, means) as vault:
        guards = vault.rest.list(f"{_subscription(vault)}/{_GUARDS}") if approver else []
        made = vault.rest.put(f"{_subscription(vault)}/{_PRINCIPALS}/{name}", told)
        for guard in guards:
            _assign(vault, means, guard["id"], access.MUA_OPERATOR, made["id"])
        if wanted is not None:
            _assign(vault, means, _subscription(vault), wanted, made["id"])
    console.note(f"{name} is {subject} of {issuer}, object id {made['id']}")


def remove(name: str, /, *, common: Common = COMMON, means: Given) -> None:
    """Take somebody away, and every role of theirs.

    ```
    strongroom principal remove anna
    ```

    Parameters
    ----------
    name
        Their name, or their object id.
    """
    with vaults.opened(common, means) as vault:
        gone = vault.rest.delete(f"{_subscription(vault)}/{_PRINCIPALS}/{name}")
    console.note(f"{name} is gone" if gone else f"there is no {name}")


def list_principals(*, common: Common = COMMON, means: Given) -> None:
    """List who signs in, and their roles.

    ```
    strongroom principal list
    ```
    """
    with vaults.opened(common, means) as vault:
        found = vault.rest.list(f"{_subscription(vault)}/{_PRINCIPALS}")
        roles = vault.rest.list(f"{_subscription(vault)}/{_ROLES}")
    if common.output == "json":
        console.as_json(found)
        return
    rows = [(each["name"], each["id"], _roles_of(each["id"], roles)) for each in found]
    console.table(("name", "object id", "roles"), rows, "nobody signs in")


def renew(*, common: Common = COMMON, means: Given) -> None:
    """Change your own secret, in the directory that you sign in with.

    ```
    strongroom principal renew --data anna/
    ```
    """
    place = data_directory(common)
    with vaults.opened(common, means) as vault:
        if vault.connection.blob_key:
            raise Invalid(
                "the administrator's secret is made by the installation itself",
                hint="Name the directory of another principal with --data.",
            )
        made = vault.rest.post(f"{_subscription(vault)}/{_PRINCIPALS}/me/renewSecret", {})
        _write(vault.connection, place, made)
    console.note(f"{made['name']} has another secret, in {place / FILE}")


def reset_password(
    name: str = "admin",
    /,
    *,
    catalogue: Annotated[
        str, Parameter(help="SQLAlchemy URL, when `serve` runs with --catalogue.")
    ] = "",
    common: Common = COMMON,
    means: Given,
) -> None:
    """Give somebody who has lost it another password for the portal. Run it beside `serve`.

    It is told this once; every session of theirs is over. It needs nobody's token: whoever has
    the control plane's files may do it, and the audit has it.

    ```
    strongroom principal reset-password
    strongroom principal reset-password anna
    ```

    Parameters
    ----------
    name
        Who signs in to the portal.
    """
    serve = serve_directory(common)
    password = means.reset_password(serve, catalogue, name)
    if common.output == "json":
        console.as_json({"portalUser": name, "portalPassword": password})
        return
    console.say(f"{name} signs in to the portal with password {password} (told this once)")


_PRINCIPALS = "providers/Microsoft.Authorization/servicePrincipals"
_ROLES = "providers/Microsoft.Authorization/roleAssignments"
_GUARDS = "providers/Microsoft.DataProtection/resourceGuards"


def _subscription(vault: Vault) -> str:
    return f"/subscriptions/{vault.connection.subscription}"


def _role(name: str) -> access.RoleDefinition:
    for role in access.BUILT_IN.values():
        if name.lower() in {role.name.lower(), role.id}:
            return role
    names = ", ".join(role.name for role in access.BUILT_IN.values())
    raise Invalid(f"there is no role {name[:60]!r}", hint=f"There is: {names}.")


def _roles_of(principal_id: str, assignments: list[dict[str, Any]]) -> str:
    names = []
    for each in assignments:
        told = each["properties"]
        if told["principalId"] == principal_id:
            role = access.BUILT_IN.get(told["roleDefinitionId"].rpartition("/")[2])
            place = told["scope"].rpartition("/")[2] or "/"
            names.append(f"{role.name if role else '?'} ({place})")
    return ", ".join(names)


def _assign(
    vault: Vault, means: Given, scope: str, role: access.RoleDefinition, principal_id: str
) -> None:
    definition = f"{_subscription(vault)}/providers/Microsoft.Authorization/roleDefinitions"
    asked = {
        "roleDefinitionId": f"{definition}/{role.id}",
        "principalId": principal_id,
    }
    vault.rest.put(f"{scope}/{_ROLES}/{uuid4(means.chance)}", {"properties": asked})


def _make_directory(to: Path) -> None:
    try:
        to.mkdir(mode=0o700, parents=True)
    except FileExistsError as error:
        raise Conflict(f"{to} is there already", hint="Name a new directory.") from error
    except OSError as error:
        raise Invalid(f"{to} cannot be made: {error.strerror}", hint="Name another.") from error


def _write(before: Connection, to: Path, made: dict[str, Any]) -> None:
    """What somebody signs in with: no key of storage is in it."""
    told = msgspec.structs.replace(
        before,
        ca=_CA,
        client_id=made["properties"]["appId"],
        client_secret=made["properties"]["secretText"],
        blob_key="",
        data_directory="",
    )
    ca = Path(before.ca).read_bytes()
    _put(to / _CA, ca)
    _put(to / FILE, msgspec.json.encode(told))


def _put(path: Path, content: bytes) -> None:
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
