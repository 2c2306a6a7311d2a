"""The second endpoint, looked at by the control plane: how far behind, and what is whole.

Receipts say what their points need. A pull that was broken off, or a blob that it could not
fetch, leaves a point there that lacks something. It is none that can be restored from.
"""

import structlog

from strongroom.control.restore.secondary import trouble_with_second
from strongroom.datastore.statements.receipt import VerifyKey
from strongroom.model.errors import Corrupt, Invalid, ObjectMissing
from strongroom.workflows.basis.means import Means
from strongroom.workflows.basis.vault_storage import SecondStorage

_RECEIPT = ".receipt"

log = structlog.get_logger()


def whole_points(second: SecondStorage, verify: VerifyKey, instance_id: str) -> set[str]:
    """Those whose receipt is ours, and whose every object is there in its length.

    Raises StoreError when the endpoint cannot be asked.
    """
    blobs = second.container(instance_id)
    try:
        listing = dict(blobs.list(""))
    except ObjectMissing:  # nothing of this instance has been pulled yet
        return set()
    found = set()
    for name in listing:
        if name.startswith("p/") and name.endswith(_RECEIPT):
            point = name.removeprefix("p/").removesuffix(_RECEIPT)
            try:
                receipt = verify.check(blobs.read(name))
            except (Corrupt, Invalid, ObjectMissing) as error:
                log.warning("second.receipt_unreadable", name=name, why=error.message)
                continue
            needed = {pack.name: pack.size for pack in receipt.packs}
            needed[f"p/{receipt.recovery_point_id}.manifest"] = receipt.manifest_size
            if receipt.recovery_point_id == point and needed.items() <= listing.items():
                found.add(point)
    return found


def watch_second(means: Means) -> str:
    """Say in the log what is wrong with the second copy, for whoever is alerted by it."""
    trouble = trouble_with_second(means.control)
    if trouble:
        log.error("second.trouble", what=trouble)
    return trouble
