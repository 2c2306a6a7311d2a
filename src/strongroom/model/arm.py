"""ARM names and ids, always in canonical case."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from whenever import Instant

from strongroom.model.errors import Invalid

_VAULT = re.compile(r"[-a-zA-Z0-9]{2,50}")
_POLICY = re.compile(r"[-a-zA-Z0-9]{3,150}")
_INSTANCE = re.compile(r"[-._a-zA-Z0-9]{1,150}")
_SERVER = re.compile(r"[-a-zA-Z0-9]{3,63}")
_GUARD = re.compile(r"[-a-zA-Z0-9]{1,63}")
_GROUP = re.compile(r"[-\w.()]{1,90}")


class VaultRef(msgspec.Struct, kw_only=True, frozen=True):
    """A vault by its names."""

    resource_group: str
    name: str

    @property
    def key(self) -> tuple[str, str]:
        """To compare by: ARM's names have no case, and a vault's is unique in its group alone."""
        return self.resource_group.lower(), self.name.lower()

    def is_same(self, other: "VaultRef") -> bool:
        """Whether both name one vault."""
        return self.key == other.key


def subscription_id_of(subscription: str) -> str:
    """`/subscriptions/...`."""
    return f"/subscriptions/{subscription}"


def group_id_of(subscription: str, group: str) -> str:
    """A resource group's id."""
    return f"/subscriptions/{subscription}/resourceGroups/{group}"


def vault_id_of(subscription: str, vault: VaultRef) -> str:
    """A vault's id."""
    group = group_id_of(subscription, vault.resource_group)
    return f"{group}/providers/Microsoft.DataProtection/backupVaults/{vault.name}"


def policy_id_of(subscription: str, vault: VaultRef, policy: str) -> str:
    """A policy's id."""
    return f"{vault_id_of(subscription, vault)}/backupPolicies/{policy}"


def instance_id_of(subscription: str, vault: VaultRef, instance: str) -> str:
    """A backup instance's id."""
    return f"{vault_id_of(subscription, vault)}/backupInstances/{instance}"


def job_id_of(subscription: str, vault: VaultRef, job: str) -> str:
    """A job's id."""
    return f"{vault_id_of(subscription, vault)}/backupJobs/{job}"


def guard_id_of(subscription: str, group: str, guard: str) -> str:
    """A resource guard's id."""
    provider = "providers/Microsoft.DataProtection/resourceGuards"
    return f"{group_id_of(subscription, group)}/{provider}/{guard}"


def server_id_of(subscription: str, group: str, server: str) -> str:
    """A PostgreSQL server's id."""
    provider = "providers/Microsoft.DBforPostgreSQL/flexibleServers"
    return f"{group_id_of(subscription, group)}/{provider}/{server}"


def check_name(kind: str, name: str) -> str:
    """A name from outside, checked: kind is vault | policy | instance | server | group |
    guard.
    """
    rules = {
        "vault": _VAULT,
        "policy": _POLICY,
        "instance": _INSTANCE,
        "server": _SERVER,
        "group": _GROUP,
        "guard": _GUARD,
    }
    if not rules[kind].fullmatch(name):
        raise invalid(
            f"{name[:60]!r} is no name for {'an' if kind == 'instance' else 'a'} {kind}",
            f"use names of the form {rules[kind].pattern}",
        )
    return name


_SERVER_ID = re.compile(
    r"/subscriptions/(?P<subscription>[^/]+)/resourceGroups/(?P<group>[^/]+)"
    r"/providers/Microsoft\.DBforPostgreSQL/flexibleServers/(?P<server>[^/]+)",
    re.IGNORECASE,
)
_INSTANCE_ID = re.compile(
    r"/subscriptions/(?P<subscription>[^/]+)/resourceGroups/(?P<group>[^/]+)"
    r"/providers/Microsoft\.DataProtection/backupVaults/(?P<vault>[^/]+)"
    r"(/backupInstances/(?P<instance>[^/]+))?",
    re.IGNORECASE,
)
_POLICY_ID = re.compile(
    r"/subscriptions/(?P<subscription>[^/]+)/resourceGroups/(?P<group>[^/]+)"
    r"/providers/Microsoft\.DataProtection/backupVaults/(?P<vault>[^/]+)"
    r"/backupPolicies/(?P<policy>[^/]+)",
    re.IGNORECASE,
)
_GUARD_ID = re.compile(
    r"/subscriptions/(?P<subscription>[^/]+)/resourceGroups/(?P<group>[^/]+)"
    r"/providers/Microsoft\.DataProtection/resourceGuards/(?P<guard>[^/]+)",
    re.IGNORECASE,
)
ROOT = "/"  # the scope above the subscription
_SCOPE = re.compile(r"(/subscriptions/[^/]+(/[^/]+)*)?/?", re.IGNORECASE)
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MOST_TAGS = 50


class ServerRef(msgspec.Struct, kw_only=True, frozen=True):
    """A PostgreSQL server by its names."""

    resource_group: str
    name: str


class PolicyRef(msgspec.Struct, kw_only=True, frozen=True):
    """A policy by its names."""

    vault: VaultRef
    name: str


def pick(body: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 - any JSON
    """A member of a JSON object, whatever the case of its key; None when it is absent."""
    if name in body:
        return body[name]
    return next((value for key, value in body.items() if key.lower() == name.lower()), None)


def pick_object(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A member that is an object; an empty one when it is absent or null."""
    found = pick(body, name)
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise invalid(f"{name} is not an object", f"send {name} as a JSON object")
    return found


def pick_text(body: Mapping[str, Any], name: str) -> str:
    """A member that is a string; an empty one when it is absent or null."""
    found = pick(body, name)
    if found is None:
        return ""
    if not isinstance(found, str):
        raise invalid(f"{name} is not a string", f"send {name} as a JSON string")
    return found


def check_kind(body: Mapping[str, Any], name: str, kind: str) -> None:
    """Invalid where `name` says another kind than this; Terraform says none."""
    found = pick_text(body, name)
    if found and found.lower() != kind.lower():
        raise invalid(f"{name} {found[:60]!r} is not offered", f"send {kind}")


def read_tags(body: Mapping[str, Any]) -> dict[str, str] | None:
    """`tags` of a resource; None when the body says nothing of them."""
    found = pick(body, "tags")
    if found is None:
        return None
    if (
        not isinstance(found, Mapping)
        or len(found) > _MOST_TAGS
        or not all(
            isinstance(v, str) and len(k) <= 512 and len(v) <= 256 for k, v in found.items()
        )
    ):
        raise invalid("tags is not an object of short strings", "send at most 50 of them")
    return dict(found)


def read_location(body: Mapping[str, Any], default: str) -> str:
    """`location` as Azure normalises it: lower case, no blanks."""
    found = pick_text(body, "location").replace(" ", "").lower() or default
    if not re.fullmatch(r"[-a-z0-9]{1,60}", found):
        raise invalid(f"{found[:60]!r} is no location", f"use {default!r}")
    return found


def need_location(body: Mapping[str, Any]) -> str:
    """The same of a resource that says where it is: ARM takes none that does not."""
    if not pick_text(body, "location").strip():
        raise Invalid(
            "The location property is required for this definition.",
            hint="send location, as the resource has it or as metadata of the installation say",
            code="LocationRequired",
        )
    return read_location(body, "")


def same_location(one: str, other: str) -> bool:
    """Whether both name one region, however they are written."""
    return one.replace(" ", "").lower() == other.replace(" ", "").lower()


def read_instant(text: str, name: str) -> Instant:
    """A moment in ISO 8601, as Azure's clients write it: `az` leaves the offset out, for UTC."""
    try:
        found = datetime.fromisoformat(text)
        return Instant(found if found.tzinfo is not None else found.replace(tzinfo=UTC))
    except ValueError as error:
        raise invalid(
            f"{name} {text[:40]!r} is not an instant", "write it as 2026-01-31T00:00:00Z"
        ) from error


def read_server_id(text: str, subscription: str) -> ServerRef:
    """A server's id; Invalid when it is none, or one of another subscription."""
    found = _SERVER_ID.fullmatch(text.strip())
    if found is None or found["subscription"].lower() != subscription.lower():
        raise invalid(
            f"{text[:160]!r} is not the id of a PostgreSQL server of this subscription"
            if text.strip()
            else "the request names no server",
            "send .../Microsoft.DBforPostgreSQL/flexibleServers/NAME of a server that is "
            "registered here: strongroom server add NAME CONNINFO",
        )
    return ServerRef(resource_group=found["group"], name=found["server"])


def read_vault_or_instance_id(text: str, subscription: str) -> tuple[VaultRef, str]:
    """(vault, name of the instance, "" for a vault); Invalid for none of this subscription."""
    found = _INSTANCE_ID.fullmatch(text.strip())
    if found is None or found["subscription"].lower() != subscription.lower():
        raise invalid(
            f"{text[:160]!r} is not the id of a backup vault or instance of this subscription"
            if text.strip()
            else "the request names neither backup vault nor instance",
            "send .../backupVaults/V or .../backupVaults/V/backupInstances/I",
        )
    return VaultRef(resource_group=found["group"], name=found["vault"]), found["instance"] or ""


def read_policy_id(text: str, subscription: str) -> PolicyRef:
    """A policy's id; Invalid when it is none, or one of another subscription."""
    found = _POLICY_ID.fullmatch(text.strip())
    if found is None or found["subscription"].lower() != subscription.lower():
        raise invalid(
            f"{text[:160]!r} is not the id of a backup policy of this subscription"
            if text.strip()
            else "the request names no backup policy",
            "send policyInfo.policyId as .../backupVaults/V/backupPolicies/P",
        )
    vault = VaultRef(resource_group=found["group"], name=found["vault"])
    return PolicyRef(vault=vault, name=found["policy"])


def read_guard_id(text: str, subscription: str) -> tuple[str, str]:
    """(resource group, name) of a resource guard's id; Invalid when it is none of ours."""
    found = _GUARD_ID.fullmatch(text.strip().rstrip("/"))
    if found is None or found["subscription"].lower() != subscription.lower():
        raise invalid(
            f"{text[:160]!r} is not the id of a resource guard of this subscription"
            if text.strip()
            else "the request names no resource guard",
            "send resourceGuardResourceId as .../resourceGuards/G",
        )
    return found["group"], found["guard"]


def read_scope(text: str, subscription: str) -> str:
    """A scope without its last slash, `/` for the root; Invalid when it is not one of ours."""
    ours = subscription_id_of(subscription).lower()
    scope = text.rstrip("/") or ROOT
    if not _SCOPE.fullmatch(scope) or not f"{scope}/".lower().startswith((ours + "/", "//")):
        raise invalid(
            f"{text[:160]!r} is not a scope of this subscription",
            f"use {ours}, or the id of a resource group or a resource",
        )
    return scope if scope == ROOT else subscription_id_of(subscription) + scope[len(ours) :]


def read_guid(text: str, what: str) -> str:
    """A GUID in lower case."""
    found = text.strip().lower()
    if not _GUID.fullmatch(found):
        raise invalid(f"{text[:60]!r} is not the GUID of a {what}", "use 8-4-4-4-12 hex digits")
    return found


def invalid(message: str, hint: str) -> Invalid:
    """Azure's code for a request that is wrong in itself."""
    return Invalid(message, hint=hint, code="BMSUserErrorInvalidInput")
