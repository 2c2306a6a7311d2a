"""ARM names and ids, always in canonical case."""

import re

import msgspec

from strongroom.model.errors import Invalid

_VAULT = re.compile(r"[-a-zA-Z0-9]{2,50}")
_POLICY = re.compile(r"[-a-zA-Z0-9]{3,150}")
_INSTANCE = re.compile(r"[-._a-zA-Z0-9]{1,150}")
_SERVER = re.compile(r"[-a-zA-Z0-9]{3,63}")
_GROUP = re.compile(r"[-\w.()]{1,90}")


class VaultRef(msgspec.Struct, kw_only=True, frozen=True):
    """A vault by its names."""

    resource_group: str
    name: str


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


def server_id_of(subscription: str, group: str, server: str) -> str:
    """A PostgreSQL server's id."""
    provider = "providers/Microsoft.DBforPostgreSQL/flexibleServers"
    return f"{group_id_of(subscription, group)}/{provider}/{server}"


def check_name(kind: str, name: str) -> str:
    """A name from outside, checked: kind is vault | policy | instance | server | group."""
    rules = {
        "vault": _VAULT,
        "policy": _POLICY,
        "instance": _INSTANCE,
        "server": _SERVER,
        "group": _GROUP,
    }
    if not rules[kind].fullmatch(name):
        raise Invalid(
            f"{name[:60]!r} is no name for a {kind}",
            hint=f"use names of the form {rules[kind].pattern}",
            code="BMSUserErrorInvalidInput",
        )
    return name


_SERVER_ID = re.compile(
    r"/subscriptions/(?P<subscription>[^/]+)/resourceGroups/(?P<group>[^/]+)"
    r"/providers/Microsoft\.DBforPostgreSQL/flexibleServers/(?P<server>[^/]+)",
    re.IGNORECASE,
)
_POLICY_ID = re.compile(r".*/backupVaults/(?P<vault>[^/]+)/backupPolicies/(?P<policy>[^/]+)", re.I)


def read_server_id(text: str) -> tuple[str, str]:
    """(resource group, server) of a server's id; Invalid when it is none."""
    found = _SERVER_ID.fullmatch(text.strip())
    if found is None:
        raise Invalid(
            f"{text[:120]!r} is not the id of a PostgreSQL server",
            hint="register the server first: strongroom server add NAME CONNINFO",
            code="BMSUserErrorInvalidInput",
        )
    return found["group"], found["server"]


def read_policy_id(text: str) -> str:
    """The policy's name in its id; Invalid when it is none."""
    found = _POLICY_ID.fullmatch(text.strip())
    if found is None:
        raise Invalid(
            f"{text[:120]!r} is not the id of a backup policy",
            hint="send policyInfo.policyId as .../backupVaults/V/backupPolicies/P",
            code="BMSUserErrorInvalidInput",
        )
    return found["policy"]
