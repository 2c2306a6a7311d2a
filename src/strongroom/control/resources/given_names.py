"""Names as they were given, for ids that go out: whoever asks may spell them in any case.

Asked for by the API once a use case has answered, which has checked that the caller may look.
"""

from strongroom.catalog.protection import protection
from strongroom.control.basis.control import Control
from strongroom.control.resources.vaults import need_vault
from strongroom.model.arm import VaultRef


def names_of_vault(control: Control, vault: VaultRef) -> VaultRef:
    """A vault and its group. Raises NotFound when there is none."""
    with control.database.reading() as connection:
        row = need_vault(connection, vault)
    return VaultRef(resource_group=row["resource_group"], name=row["name"])


def names_of_instance(control: Control, vault: VaultRef, name: str) -> tuple[VaultRef, str]:
    """An instance, be it soft-deleted, in its vault. Raises NotFound when there is none."""
    with control.database.reading() as connection:
        group = vault.resource_group
        found = protection.by_name(connection, group, vault.name, name, deleted=True)
    ref = VaultRef(resource_group=found.resource_group, name=found.vault_name)
    return ref, found.instance_name
