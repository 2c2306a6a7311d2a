"""Jobs of a vault as files, in a container of the installation's own: for an hour, by a SAS.

What was exported the day before goes with the next export.
"""

from collections.abc import Callable, Mapping, Sequence

from strongroom.catalog.oversight import audit
from strongroom.catalog.protection import protection
from strongroom.catalog.work import jobs as catalog
from strongroom.control.basis import long_running
from strongroom.control.basis.access import require
from strongroom.control.basis.control import Control
from strongroom.model import page
from strongroom.model.arm import VaultRef, vault_id_of
from strongroom.model.identities.access import Caller
from strongroom.model.ids import OperationId
from strongroom.model.page import Mark
from strongroom.model.work.job import Job, JobFilter

EXPORT = "Microsoft.DataProtection/backupVaults/exportBackupJobs/action"
MOST = 10_000  # jobs, the newest
Render = Callable[[Sequence[Job]], Mapping[str, bytes]]


def export_jobs(
    control: Control,
    caller: Caller,
    vault: VaultRef,
    asked: tuple[JobFilter, str],
    render: Render,
) -> OperationId:
    """Leave them there; the operation's result names the folder.

    `asked` = (which, the request's key); `render` gives file name -> bytes.
    """
    wanted, request_key = asked
    scope = vault_id_of(control.installation.subscription_id, vault)
    with control.database.reading() as connection:
        known = long_running.find_by_request(connection, request_key)
        if known is not None:
            return known
        require(control, connection, caller, EXPORT, scope)
    found = _read(control, vault, wanted)
    now = control.clock.now()
    folder = f"{now.format_iso(basic=True, unit='second')}-{control.chance.bytes(8).hex()}"
    files = render(found)
    control.own_storage.publish({f"{folder}/{name}": data for name, data in files.items()})
    with control.database.writing() as connection:
        what, told = ("job/export", scope), {"jobs": len(found), "folder": folder}
        audit.append(connection, now, caller, what, told)
        made = {"export": folder, "files": sorted(files)}
        return long_running.add_ended(
            control, connection, caller, ("exportBackupJobs", scope), made, request_key
        )


def _read(control: Control, vault: VaultRef, wanted: JobFilter) -> list[Job]:
    """A page at a time: nobody waits for the whole of it."""
    found: list[Job] = []
    after: Mark | None = None
    while len(found) < MOST:
        with control.database.reading() as connection:
            vault_id = protection.vault_id(connection, vault.resource_group, vault.name)
            rows = catalog.page_of_vault(connection, vault_id, after, page.SIZE, wanted)
        found += rows
        if len(rows) < page.SIZE:
            break
        after = Mark(rows[-1].started_at, rows[-1].id)
    return found


def addresses(control: Control, folder: str, name: str) -> tuple[str, str]:
    """(URL, SAS of an hour with its question mark) of one exported file."""
    path = f"{folder}/{name}"
    return control.own_storage.address(path)
