"""The control plane, as an agent calls it: the protocol of `model/work/operation.py` over httpx.

Every call has a deadline and leaves with a VaultError: ControlUnavailable for what another try may
mend, LeaseLost for an epoch that has ended, and otherwise what the control plane told. All calls
are safe twice, so a call whose answer was lost is simply made again.
"""

import ssl
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import msgspec

from strongroom.agent.backoff import LONGEST, pause_before
from strongroom.agent.settings import checked_url
from strongroom.model.errors import (
    ControlUnavailable,
    Failed,
    Forbidden,
    Invalid,
    NotFound,
    Retry,
    Unauthenticated,
    VaultError,
    every_error,
    from_dict,
)
from strongroom.model.seams import Chance
from strongroom.model.wal import WalKept, WalReply, WalReport, WalRequest
from strongroom.model.work.operation import (
    Completion,
    EnrolReply,
    EnrolRequest,
    Failure,
    Heartbeat,
    HeartbeatReply,
    KeysReply,
    KeysRequest,
    Lease,
    LeaseRequest,
    ParentReply,
    ParentRequest,
)
from strongroom.model.work.resume import ResumeReply, ResumeRequest

CONNECT_SECONDS = 5.0
CALL_SECONDS = 15.0  # no answer within it is no answer
KEYS_SECONDS = 60.0  # the control plane opens a manifest, or reads the head of every pack
TRIES = 6

Reply = TypeVar("Reply", bound=msgspec.Struct)
Pause = Callable[[float], None]


class ControlClient:
    """One agent's line to its control plane. Safe for threads. No `token` before enrolment."""

    def __init__(
        self,
        url: str,
        *,
        ca_file: Path | None,
        chance: Chance,
        token: str = "",
    ) -> None:
        headers = {"content-type": "application/json", "accept": "application/json"}
        if token:
            headers["authorization"] = f"Bearer {token}"
        self._chance = chance
        self._http = httpx.Client(
            base_url=checked_url(url),
            headers=headers,
            verify=_pinned(ca_file) if url.startswith("https:") else False,
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(CALL_SECONDS, connect=CONNECT_SECONDS),
            limits=httpx.Limits(max_keepalive_connections=8, keepalive_expiry=30),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Return every connection."""
        self._http.close()

    def enrol(self, request: EnrolRequest) -> EnrolReply:
        """Buy an identity with a one-time token. One try; safe twice."""
        return _decoded(self._post("/agents/enrol", request), EnrolReply)

    def lease(self, request: LeaseRequest) -> Lease | None:
        """One try: waits up to `request.wait_seconds` for work; None when there is none."""
        timeout = request.wait_seconds + CALL_SECONDS
        answer = self._post("/agents/lease", request, seconds=timeout)
        return None if answer.status_code == httpx.codes.NO_CONTENT else _decoded(answer, Lease)

    def heartbeat(
        self, operation_id: str, heartbeat: Heartbeat, *, seconds: float = CALL_SECONDS
    ) -> HeartbeatReply:
        """One try of at most `seconds`: the next try is the next beat."""
        path = f"/agents/operations/{operation_id}/heartbeat"
        return _decoded(self._post(path, heartbeat, seconds=seconds), HeartbeatReply)

    def keys(self, operation_id: str, request: KeysRequest, pause: Pause) -> KeysReply:
        """The content keys that this restore needs. `pause` waits between tries and may raise."""
        return self._ask(operation_id, "keys", request, KeysReply, pause)

    def parent(self, operation_id: str, request: ParentRequest, pause: Pause) -> ParentReply:
        """What this increment leans on. `pause` waits between tries and may raise."""
        return self._ask(operation_id, "parent", request, ParentReply, pause)

    def resume(self, operation_id: str, request: ResumeRequest, pause: Pause) -> ResumeReply:
        """What earlier tries have stored. `pause` waits between tries and may raise."""
        return self._ask(operation_id, "resume", request, ResumeReply, pause)

    def wal(self, operation_id: str, report: WalReport, pause: Pause) -> WalReply:
        """What was put of a server's log -> how far the vault has it."""
        return self._ask(operation_id, "wal", report, WalReply, pause)

    def wal_keys(self, operation_id: str, request: WalRequest, pause: Pause) -> WalKept:
        """The packs that hold the log behind a position, and their keys."""
        return self._ask(operation_id, "wal-keys", request, WalKept, pause)

    def complete(self, operation_id: str, completion: Completion) -> None:
        """One try."""
        self._post(f"/agents/operations/{operation_id}/complete", completion)

    def fail(self, operation_id: str, failure: Failure) -> None:
        """One try."""
        self._post(f"/agents/operations/{operation_id}/fail", failure)

    def _ask(
        self,
        operation_id: str,
        what: str,
        body: msgspec.Struct,
        kind: type[Reply],
        pause: Pause,
    ) -> Reply:
        path = f"/agents/operations/{operation_id}/{what}"
        return self._asked(
            lambda: _decoded(self._post(path, body, seconds=KEYS_SECONDS), kind), pause
        )

    def _asked(self, call: Callable[[], Reply], pause: Pause) -> Reply:
        for attempt in range(TRIES - 1):
            try:
                return call()
            except VaultError as error:
                if error.retry is Retry.NEVER:
                    raise
                pause(longer_of(pause_before(attempt, self._chance), error))
        return call()

    def _post(
        self, path: str, body: msgspec.Struct, *, seconds: float = CALL_SECONDS
    ) -> httpx.Response:
        timeout = httpx.Timeout(seconds, connect=CONNECT_SECONDS)
        try:
            answer = self._http.post(path, content=msgspec.json.encode(body), timeout=timeout)
        except httpx.TransportError as error:
            raise _unreachable(self._http.base_url, error) from error
        if answer.is_success:
            return answer
        raise _told(answer)


def longer_of(pause: float, error: VaultError) -> float:
    """The pause, or what the control plane asked for (Retry-After), if that is longer."""
    asked = error.facts.get("retry_after_seconds", 0.0)
    return max(pause, min(LONGEST, float(asked)))


def _pinned(ca_file: Path | None) -> ssl.SSLContext:
    """Trusts this one authority and none of the system's."""
    if ca_file is None:
        raise Invalid(
            "https needs the certificate of the control plane's authority",
            hint="Give --ca FILE: the control plane wrote it as ca.pem when it first started.",
        )
    try:
        context = ssl.create_default_context(cafile=str(ca_file))
    except (OSError, ssl.SSLError) as error:
        raise Invalid(
            f"{ca_file} is not a readable PEM certificate",
            hint="Copy ca.pem from the control plane's machine again.",
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def _unreachable(url: httpx.URL, error: httpx.TransportError) -> VaultError:
    address = f"{url.scheme}://{url.netloc.decode()}"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Forbidden(
                f"the certificate at {address} is not our control plane's: {cause.verify_message}",
                hint="Check the address; if the authority was renewed, give --ca the new ca.pem.",
            )
        cause = cause.__cause__ or cause.__context__
    return ControlUnavailable(
        f"no answer from the control plane at {address} ({type(error).__name__})",
        hint="Check that `strongroom serve` runs and that this machine may connect to it.",
    )


def _decoded(answer: httpx.Response, kind: type[Reply]) -> Reply:
    try:
        return msgspec.json.decode(answer.content, type=kind)
    except msgspec.MsgspecError as error:
        raise ControlUnavailable(
            f"the control plane's answer is not a {kind.__name__}",
            hint="Check that the address is the control plane's and not a proxy's.",
        ) from error


def _told(answer: httpx.Response) -> VaultError:
    """The control plane's own words when there are any, else what the status says."""
    told = _error_body(answer)
    status = answer.status_code
    if told.get("kind") in every_error():
        return from_dict(told)
    if status == httpx.codes.TOO_MANY_REQUESTS or status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return ControlUnavailable(
            f"the control plane answered {status}",
            hint="It is retried; look into the control plane's log if it stays.",
            facts={"told": told, "retry_after_seconds": _retry_after(answer)},
        )
    if told:
        return from_dict(told)
    classes: dict[int, type[VaultError]] = {
        400: Invalid, 401: Unauthenticated, 403: Forbidden, 404: NotFound
    }  # fmt: skip
    return classes.get(status, Failed)(f"the control plane answered {status}")


def _error_body(answer: httpx.Response) -> dict[str, Any]:
    """`VaultError.to_dict()`: bare, or beside ARM's own form of it; empty when neither is there.

    ARM's form alone tells the code, which is the kind unless Azure demands another.
    """
    try:
        body = msgspec.json.decode(answer.content)
    except msgspec.MsgspecError:
        return {}
    if not isinstance(body, dict):
        return {}
    for told in (body.get("strongroom"), body.get("error"), body):
        if isinstance(told, dict) and ("kind" in told or "code" in told):
            return {"kind": told.get("code"), **told}
    return {}


def _retry_after(answer: httpx.Response) -> float:
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isdecimal() else 0.0
