"""Every route of the ARM-shaped API, and the action that it declares."""

from strongroom.web.api import (
    access,
    approvals,
    audit,
    deleted_vaults,
    deletions,
    discovery,
    drills,
    garbage,
    guards,
    holds,
    instances,
    issuers,
    job_exports,
    jobs,
    keys,
    long_running,
    long_term,
    policies,
    principals,
    protection_states,
    repairs,
    resource_graph,
    resource_groups,
    restorable_ranges,
    secondary,
    servers,
    storage_findings,
    subscriptions,
    vaults,
    verifications,
    wal_timeline,
)
from strongroom.web.api.door import ACTION

ROUTERS = (
    secondary,
    subscriptions,
    resource_groups,
    resource_graph,
    discovery,
    vaults,
    policies,
    instances,
    repairs,
    restorable_ranges,
    wal_timeline,
    protection_states,
    deletions,
    deleted_vaults,
    holds,
    garbage,
    storage_findings,
    verifications,
    drills,
    jobs,
    job_exports,
    keys,
    servers,
    long_term,
    access,
    audit,
    guards,
    approvals,
    principals,
    issuers,
    long_running,
)
__all__ = ["ACTION", "api_routes"]


def api_routes() -> list[tuple[str, str, str]]:
    """(method, path, action), the action empty where a route declares none."""
    return [
        (method, route.path, (route.openapi_extra or {}).get(ACTION, ""))
        for module in ROUTERS
        for route in module.router.routes
        for method in sorted(route.methods)
    ]
