"""Jobs of a vault as files: JSON as the API tells them, and a table."""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from strongroom.control.basis.long_running import get_operation
from strongroom.control.resources.given_names import names_of_vault
from strongroom.control.work import job_exports
from strongroom.model import arm
from strongroom.model.arm import VaultRef
from strongroom.model.errors import NotFound
from strongroom.model.work.job import Job
from strongroom.web.api import wire_jobs
from strongroom.web.api.door import Asked, Here, Vault, does
from strongroom.web.api.jobs import read_filter
from strongroom.web.api.long_running import OWN, accepted
from strongroom.web.api.paging import Filter
from strongroom.web.api.vaults import VAULT

router = APIRouter()
_JSON, _TABLE = "jobs.json", "jobs.csv"
_COLUMNS = (
    *("operation", "status", "dataSourceName", "backupInstanceFriendlyName", "policyName"),
    *("startTime", "endTime", "duration", "isUserTriggered"),
)


@router.post(VAULT + "/exportBackupJobs", openapi_extra=does(job_exports.EXPORT))
def export_jobs(ref: Vault, here: Here, call: Asked, wanted: Filter = "") -> Response:
    """Leave the jobs in a container, as JSON and as a table; the newest ten thousand."""

    def render(found: Sequence[Job]) -> dict[str, bytes]:
        now = call.control.clock.now()
        told = [wire_jobs.job(here, job, now) for job in found]
        return {_JSON: json.dumps(told, indent=1).encode(), _TABLE: _table(told)}

    asked = read_filter(wanted), call.key
    operation = job_exports.export_jobs(call.control, call.caller, ref, asked, render)
    answer = accepted(call.control, call.base, operation, call.version)
    place = arm.vault_id_of(here, names_of_vault(call.control, ref))
    home = f"{call.base}{place}/backupJobs/operations"
    answer.headers["Location"] = f"{home}/{operation}?api-version={call.version}"
    return answer


def _table(told: Sequence[dict[str, Any]]) -> bytes:
    """For a spreadsheet: what would be a formula there is text."""
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(("id", *_COLUMNS))
    for job in told:
        fields = [job["name"], *(job["properties"][name] for name in _COLUMNS)]
        rows.writerow([f"'{f}" if str(f)[:1] in "=+-@" else f for f in map(_plain, fields)])
    return text.getvalue().encode("utf-8-sig")


def _plain(value: object) -> str:
    return "" if value is None else str(value)


@router.get(VAULT + "/backupJobs/operations/{operation_id}", openapi_extra=does(OWN))
def export_result(operation_id: str, ref: Vault, here: Here, call: Asked) -> JSONResponse:
    """Where the exported jobs lie, with a signature of an hour to read them."""
    row = get_operation(call.control, call.caller, operation_id)
    result = row["result"] or {}
    if row["resource_id"].lower() != _home(here, ref) or not result.get("export"):
        raise NotFound(f"there is no export {operation_id[:64]} of {ref.name}")
    told: dict[str, str] = {}
    for name, file in (("blob", _JSON), ("excelFileBlob", _TABLE)):
        url, sas = job_exports.addresses(call.control, result["export"], file)
        told |= {f"{name}Url": url, f"{name}SasKey": sas}
    return JSONResponse(told)


def _home(here: str, ref: VaultRef) -> str:
    return arm.vault_id_of(here, ref).lower()
