"""Addresses of the portal: what lies where, and what the path of a page names."""

from typing import Annotated
from urllib.parse import quote

from fastapi import Depends

from strongroom.model import arm
from strongroom.model.arm import VaultRef

INSTANCE = "/instances/{group}/{vault}/{name}"


def _vault(group: str, vault: str) -> VaultRef:
    return VaultRef(resource_group=group, name=vault)


InVault = Annotated[VaultRef, Depends(_vault)]


def instance_path(vault: VaultRef, name: str) -> str:
    """The page of an instance."""
    return f"/instances/{quote(vault.resource_group)}/{quote(vault.name)}/{quote(name)}"


def vault_path(vault: VaultRef) -> str:
    """The page of a vault."""
    return f"/vaults/{quote(vault.resource_group)}/{quote(vault.name)}"


def job_path(vault: VaultRef, job: str) -> str:
    """The page of a job, by its id or by ARM's id of it."""
    where = f"{quote(vault.resource_group)}/{quote(vault.name)}"
    return f"/jobs/{where}/{quote(job.rpartition('/')[2])}"


def instance_scope(subscription: str, vault: VaultRef, name: str) -> str:
    """Where rights to an instance are asked for."""
    return arm.instance_id_of(subscription, vault, name)
