"""Every page of the portal, as one router."""

from fastapi import APIRouter

from strongroom.web.portal import (
    access,
    alerts,
    approvals,
    assets,
    audit,
    cost,
    cost_ahead,
    drills,
    events,
    instances,
    issuer,
    jobs,
    overview,
    points,
    policies,
    protect,
    reports,
    restores,
    servers,
    settings,
    sign_in,
    vaults,
)

router = APIRouter(include_in_schema=False)
_DOORS = (assets, sign_in, issuer, events, settings)
_WATCHED = (overview, restores, points, drills, instances, jobs)
_KEPT = (policies, vaults, servers, protect, cost_ahead, cost, reports)
_WATCHERS = (alerts, approvals, audit, access)
for each in (*_DOORS, *_WATCHED, *_KEPT, *_WATCHERS):
    router.include_router(each.router)
