"""Every page of the portal, as one router."""

from fastapi import APIRouter

from strongroom.web.portal import (
    assets,
    events,
    instances,
    jobs,
    overview,
    points,
    restores,
    settings,
    sign_in,
)

router = APIRouter(include_in_schema=False)
_PAGES = (assets, sign_in, overview, restores, points, instances, jobs, events, settings)
for each in _PAGES:
    router.include_router(each.router)
