"""Jobs, with true progress."""

from typing import Any

from fastapi import APIRouter

from strongroom.control import jobs
from strongroom.web.api import wire_jobs
from strongroom.web.api.door import ApiVersion, Here, Means, Vault, Who, does
from strongroom.web.api.vaults import VAULT

router = APIRouter()


@router.get(VAULT + "/backupJobs", openapi_extra=does(jobs.ACTION))
def list_jobs(
    ref: Vault, here: Here, control: Means, caller: Who, version: ApiVersion
) -> dict[str, Any]:
    """The newest first."""
    del version
    now = control.clock.now()
    found = jobs.list_jobs(control, caller, ref)
    return {"value": [wire_jobs.job(here, ref, job, now) for job in found]}


@router.get(VAULT + "/backupJobs/{job_id}", openapi_extra=does(jobs.ACTION))
def get_job(
    job_id: str, ref: Vault, here: Here, control: Means, caller: Who, version: ApiVersion
) -> dict[str, Any]:
    """One job."""
    del version
    found = jobs.get_job(control, caller, ref, job_id)
    return wire_jobs.job(here, ref, found, control.clock.now())
