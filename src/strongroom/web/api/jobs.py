"""Jobs, with true progress."""

from typing import Any

from fastapi import APIRouter

from strongroom.control import jobs
from strongroom.web.api import wire
from strongroom.web.api.door import ApiVersion, Here, Means, Vault, Who
from strongroom.web.api.vaults import VAULT

router = APIRouter()


@router.get(VAULT + "/backupJobs")
def list_jobs(
    ref: Vault, here: Here, control: Means, caller: Who, version: ApiVersion
) -> dict[str, Any]:
    """The newest first."""
    del version
    now = control.clock.now()
    found = jobs.list_jobs(control, caller, ref)
    return {"value": [wire.job(here, ref, job, now) for job in found]}


@router.get(VAULT + "/backupJobs/{job_id}")
def get_job(
    job_id: str, ref: Vault, here: Here, control: Means, caller: Who, version: ApiVersion
) -> dict[str, Any]:
    """One job."""
    del version
    found = jobs.get_job(control, caller, ref, job_id)
    return wire.job(here, ref, found, control.clock.now())
