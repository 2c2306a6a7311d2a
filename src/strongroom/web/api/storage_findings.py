"""What is wrong with what lies in storage: ours, not Azure's."""

from typing import Any

from fastapi import APIRouter

from strongroom.control import storage_findings
from strongroom.web.api.door import ApiVersion, Means, Vault, Who, does
from strongroom.web.api.vaults import VAULT
from strongroom.web.api.wire import instant

router = APIRouter()


@router.get(
    VAULT + "/backupInstances/{name}/storageFindings",
    openapi_extra=does(storage_findings.ACTION),
)
def list_findings(
    name: str, ref: Vault, control: Means, caller: Who, version: ApiVersion
) -> dict[str, Any]:
    """Receipts in quarantine, damaged objects, what cannot be read."""
    del version
    found = storage_findings.list_storage_findings(control, caller, ref, name)
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
