"""Every page of the portal, as one router."""

from fastapi import APIRouter

from strongroom.web.portal import assets, events, instances, jobs, overview, sign_in

router = APIRouter(include_in_schema=False)
_PAGES = (assets, sign_in, overview, instances, jobs, events)
for each in _PAGES:
    router.include_router(each.router)
