"""Jobs, with true progress; to cancel one is ours, not Azure's."""

import re
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from strongroom.control.work import jobs
from strongroom.model.work.job import JobFilter
from strongroom.web.api import wire_jobs
from strongroom.web.api.door import Asked, Here, Vault, does
from strongroom.web.api.long_running import accepted
from strongroom.web.api.paging import Filter, Skip, answer, check_filter
from strongroom.web.api.vaults import VAULT

router = APIRouter()
_NAMED = re.compile(r"\b(status|operation|backupInstance)\s+eq\s+'([-.\w]{1,150})'", re.IGNORECASE)


@router.get(VAULT + "/backupJobs", openapi_extra=does(jobs.ACTION))
def list_jobs(
    ref: Vault, here: Here, call: Asked, skip: Skip = "", wanted: Filter = ""
) -> Response:
    """The newest first, a hundred a page; `$filter`: status, operation, backupInstance."""
    now = call.control.clock.now()
    found, token = jobs.page_jobs(call.control, call.caller, ref, skip, read_filter(wanted))
    rows = [wire_jobs.job(here, job, now) for job in found]
    return answer(call, rows, token, wanted)


def read_filter(wanted: str) -> JobFilter:
    """Which jobs `$filter` names."""
    check_filter(
        wanted,
        "status, operation or backupInstance eq '...', joined by and",
        _NAMED,
    )
    named = {key.lower(): value for key, value in _NAMED.findall(wanted)}
    which = (named.get(key, "") for key in ("status", "operation", "backupinstance"))
    return JobFilter(*which)


@router.get(VAULT + "/backupJobs/{job_id}", openapi_extra=does(jobs.ACTION))
def get_job(job_id: str, ref: Vault, here: Here, call: Asked) -> dict[str, Any]:
    """One job."""
    found = jobs.get_job(call.control, call.caller, ref, job_id)
    return wire_jobs.job(here, found, call.control.clock.now())


@router.post(VAULT + "/backupJobs/{job_id}/cancel", openapi_extra=does(jobs.CANCEL))
def cancel_job(job_id: str, ref: Vault, call: Asked) -> Response:
    """A job that is under way; it is `Cancelled` once its agent was told, or at once."""
    operation = jobs.cancel_job(call.control, call.caller, ref, job_id, call.key)
    return accepted(call.control, call.base, operation, call.version)
