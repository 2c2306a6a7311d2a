"""ARM's manners at the threshold, before any route: paths in canonical case, ids, a body's limit.

Clients write resourcegroups, BackupVaults and worse; what comes out is always canonical.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from uuid import UUID

from opentelemetry import trace
from starlette.exceptions import HTTPException
from structlog.contextvars import bound_contextvars

from strongroom.model.seams import Chance

MOST_BODY = 1 << 20
_MOST_AGENT_BODY = 16 << 20
BODY_SECONDS = 60.0  # for a whole body: 280 kB a second at least for the longest of an agent's
_GUID = re.compile(rb"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_ARM = ("/subscriptions", "/providers", "/tenants", "/metadata")
_NAMES = {
    b"api-version": b"api-version",
    **{
        dollar + name.lower(): b"$" + name
        for name in (b"filter", b"skipToken", b"top")
        for dollar in (b"$", b"%24")
    },
}
_QUERY = re.compile(rb"(?<![^&])(api-version|(?:\$|%24)(?:filter|skiptoken|top))=", re.IGNORECASE)
_LEADS = ("providers", "metadata", "backupjobs", "auditrecords")
SEGMENTS = {
    segment.lower(): segment
    for segment in (
        "subscriptions",
        "resourceGroups",
        "providers",
        "locations",
        "tenants",
        "metadata",
        "endpoints",
        "register",
        "operations",
        "checkFeatureSupport",
        "exportBackupJobs",
        "findRestorableTimeRanges",
        "validateForModifyBackup",
        "Microsoft.DataProtection",
        "Microsoft.DBforPostgreSQL",
        "Microsoft.Authorization",
        "Microsoft.ResourceGraph",
        "backupVaults",
        "backupPolicies",
        "backupInstances",
        "backupJobs",
        "recoveryPoints",
        "operationStatus",
        "operationResults",
        "checkNameAvailability",
        "validateForBackup",
        "validateRestore",
        "validateCrossRegionRestore",
        "crossRegionRestore",
        "fetchCrossRegionRestoreJob",
        "fetchCrossRegionRestoreJobs",
        "fetchSecondaryRecoveryPoints",
        "stopProtection",
        "suspendBackups",
        "resumeBackups",
        "resumeProtection",
        "deletedBackupInstances",
        "deletedVaults",
        "resourceGuards",
        "backupResourceGuardProxies",
        "unlockDelete",
        "backup",
        "restore",
        "rehydrate",
        "sync",
        "undelete",
        "purge",
        "verify",
        "drill",
        "cancel",
        "grant",
        "deny",
        "withdraw",
        "collectGarbage",
        "planRestore",
        "findSecond",
        "storageFindings",
        "drills",
        "releaseExpiry",
        "keys",
        "checkKeys",
        "rotateKeys",
        "rotateKeyEncryptionKey",
        "replaceRecoveryKey",
        "shredCertificates",
        "legalHolds",
        "deletedRecoveryPoints",
        "secondCopy",
        "approvals",
        "auditRecords",
        "servicePrincipals",
        "trustedIssuers",
        "renewSecret",
        "versions",
        "preview",
        "applyToPoints",
        "flexibleServers",
        "resources",
        "ltrPreBackup",
        "startLtrBackup",
        "ltrBackupOperations",
        "azureAsyncOperation",
        "roleAssignments",
        "roleDefinitions",
    )
}

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class ArmManners:
    """ASGI middleware. `request.state.correlation` is the id of each request."""

    def __init__(self, app: Any, chance: Chance) -> None:  # noqa: ANN401 - any ASGI application
        self._app = app
        self._chance = chance

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # In place: whoever stands outside of us (the door for bugs) must see it too.
        request_id = str(UUID(bytes=self._chance.bytes(16), version=4))
        correlation = _correlation(scope) or request_id
        scope.setdefault("state", {})["correlation"] = correlation
        scope["path"] = canonical(scope["path"])
        if is_arm(scope["path"]):
            scope["query_string"] = canonical_query(scope["query_string"])
        own = [
            (b"x-ms-request-id", request_id.encode()),
            (b"x-ms-correlation-request-id", correlation.encode()),
            (b"x-content-type-options", b"nosniff"),
        ]

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *own]
                span.set_attribute("http.response.status_code", message["status"])
            await send(message)

        # What is logged on the way, and the trace, say whose request it was.
        tracer = trace.get_tracer("strongroom")
        with (
            bound_contextvars(request=request_id, correlation=correlation),
            tracer.start_as_current_span(scope["method"], kind=trace.SpanKind.SERVER) as span,
        ):
            try:
                await self._app(scope, limited(scope, receive), answer)
            finally:
                route = str(getattr(scope.get("route"), "path", ""))
                span.update_name(f"{scope['method']} {route}".strip())
                span.set_attribute("http.request.method", scope["method"])
                span.set_attribute("http.route", route)
                span.set_attribute("strongroom.request", request_id)


def canonical(path: str) -> str:
    """Known segments in their own case; doubled and last slashes go.

    Kinds and names take turns, and a name stays as it is, were it `Restore`. What follows one of
    _LEADS is a known word all the same.
    """
    path = "/" + path.lstrip("/")  # of whoever's base address ends in a slash
    if not is_arm(path):
        return path
    parts = [part for part in path.split("/") if part]
    return "/" + "/".join(
        SEGMENTS.get(part.lower(), part)
        if number % 2 == 0 or parts[number - 1].lower() in _LEADS
        else part
        for number, part in enumerate(parts)
    )


def is_arm(path: str) -> bool:
    """Whether it is a path of ARM's."""
    return path.lower().startswith(_ARM)


def canonical_query(query: bytes) -> bytes:
    """Names that ARM knows in their own case, their values as they are."""
    return _QUERY.sub(lambda found: _NAMES[found[1].lower()] + b"=", query)


def _correlation(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-ms-correlation-request-id" and _GUID.fullmatch(value):
            return str(value.decode("ascii")).lower()
    return ""


def limited(scope: Scope, receive: Receive, seconds: float = BODY_SECONDS) -> Receive:
    """Receive a body that is neither too long nor too slow. Raises HTTPException, 413 or 408."""
    most = _MOST_AGENT_BODY if scope["path"].startswith("/agents/") else MOST_BODY
    told = next((v for n, v in scope["headers"] if n == b"content-length"), b"0")
    loop = asyncio.get_running_loop()
    read, until, more = 0, loop.time() + seconds, True

    async def bounded() -> Message:
        nonlocal read, more
        if not more:  # from here on it is only whether the client is still there
            return await receive()
        if int(told) > most:
            raise HTTPException(413)
        try:
            async with asyncio.timeout_at(until):
                message = await receive()
        except TimeoutError as error:
            raise HTTPException(408) from error
        read += len(message.get("body", b""))
        if read > most:
            raise HTTPException(413)
        more = bool(message.get("more_body", False))
        return message

    return bounded
