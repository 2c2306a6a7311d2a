"""Paths in canonical case: clients write resourcegroups, BackupVaults and worse."""

from typing import Any

SEGMENTS = {
    segment.lower(): segment
    for segment in (
        "subscriptions",
        "resourceGroups",
        "providers",
        "locations",
        "Microsoft.DataProtection",
        "Microsoft.DBforPostgreSQL",
        "Microsoft.Authorization",
        "backupVaults",
        "backupPolicies",
        "backupInstances",
        "backupJobs",
        "recoveryPoints",
        "operationStatus",
        "operationResults",
        "validateForBackup",
        "validateRestore",
        "flexibleServers",
        "ltrPreBackup",
        "roleAssignments",
        "roleDefinitions",
    )
}


class CanonicalPaths:
    """ASGI middleware: known segments get their own case, doubled slashes go."""

    def __init__(self, app: Any) -> None:  # noqa: ANN401 - any ASGI application
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401
        if scope["type"] == "http" and scope["path"].lower().startswith(
            ("/subscriptions", "/providers")
        ):
            parts = [part for part in scope["path"].split("/") if part]
            scope = {**scope, "path": "/" + "/".join(SEGMENTS.get(p.lower(), p) for p in parts)}
        await self._app(scope, receive, send)
