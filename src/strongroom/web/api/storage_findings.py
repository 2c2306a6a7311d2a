"""What is wrong with what lies in storage: ours, not Azure's."""

from typing import Any

from fastapi import APIRouter

from strongroom.control.points import storage_findings
from strongroom.web.api.door import Asked, Vault, does
from strongroom.web.api.vaults import VAULT
from strongroom.web.api.wire import instant

router = APIRouter()


@router.get(
    VAULT + "/backupInstances/{name}/storageFindings",
    openapi_extra=does(storage_findings.ACTION),
)
def list_findings(name: str, ref: Vault, call: Asked) -> dict[str, Any]:
    """Receipts in quarantine, damaged objects, what cannot be read."""
    found = storage_findings.list_storage_findings(call.control, call.caller, ref, name)
    return {
        "value": [
            {
                "name": row["name"],
                "kind": row["kind"],
                "problem": row["problem"],
                "foundAt": instant(row["found_at"]),
            }
            for row in found
        ]
    }
