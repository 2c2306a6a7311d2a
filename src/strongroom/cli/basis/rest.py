"""The API's client: a token, ARM's calls, long-running operations, errors in our own words."""

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx
from whenever import Instant

from strongroom.cli.basis.connection import Connection
from strongroom.model.errors import (
    Conflict,
    ControlUnavailable,
    Failed,
    Forbidden,
    Invalid,
    NotFound,
    Precondition,
    Unauthenticated,
    VaultError,
    every_error,
    from_dict,
)
from strongroom.model.ids import uuid4
from strongroom.model.seams import Chance, Clock

API_VERSION = "2026-06-01"
CALL_SECONDS = 60.0
TRIES = 6
TERMINAL = ("succeeded", "failed", "canceled")
# For a server that does not say in our own words what was wrong.
_BY_STATUS: dict[int, type[VaultError]] = {
    400: Invalid,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    412: Precondition,
}


class Rest:
    """Calls one control plane as the principal of connection.json. Not for several threads."""

    def __init__(self, connection: Connection, clock: Clock, chance: Chance) -> None:
        self._connection = connection
        self._clock = clock
        self._chance = chance
        self._token = ""
        self._token_until = 0.0
        self._http = httpx.Client(
            base_url=connection.arm,
            verify=_trust(connection.ca),
            timeout=CALL_SECONDS,
            trust_env=False,  # a proxy has no business between us and our own control plane
        )

    @property
    def version(self) -> str:
        """The api-version that is named where none is given."""
        return API_VERSION

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str) -> dict[str, Any]:
        """One resource."""
        found: dict[str, Any] = self._call("GET", path).json()
        return found

    def find(self, path: str) -> dict[str, Any] | None:
        """One resource, or None when it is not there."""
        try:
            return self.get(path)
        except NotFound:
            return None

    def list(self, path: str, most: int = 0) -> list[dict[str, Any]]:
        """All pages of a collection, or those that hold its first `most`."""
        found: list[dict[str, Any]] = []
        while path and not 0 < most <= len(found):
            page = self.get(path)
            found += page["value"]
            path = str(page.get("nextLink") or "")
        return found[:most] if most else found

    def put(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create or change a resource and wait for it: the resource as it is then."""
        answer = self._call("PUT", path, body)
        if "Azure-AsyncOperation" not in answer.headers:
            found: dict[str, Any] = answer.json()
            return found
        self._wait(answer)
        return self.get(path)

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Do something and wait for the operation; its result, such as {"jobId": ...}."""
        answer = self._call("POST", path, body)
        if answer.status_code != 202:
            found: dict[str, Any] = answer.json() if answer.content else {}
            return found
        self._wait(answer)
        return self.get(answer.headers["Location"])

    def delete(self, path: str) -> bool:
        """Delete a resource and wait for it. False when there was none."""
        answer = self._call("DELETE", path)
        if "Azure-AsyncOperation" in answer.headers:
            self._wait(answer)
        return answer.status_code != 204

    def _wait(self, answer: httpx.Response) -> None:
        address = answer.headers["Azure-AsyncOperation"]
        while True:
            told = self._call("GET", address)
            status = told.json()
            if str(status["status"]).lower() in TERMINAL:
                break
            seconds = told.headers.get("Retry-After", "1")
            self._clock.sleep(min(float(seconds) if seconds.isdigit() else 1.0, 30.0) / 2)
        if str(status["status"]).lower() != "succeeded":
            raise error_of(status.get("error") or {}, 200)

    def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> httpx.Response:
        """One call, repeated under the same request id while the control plane is away."""
        parameters = {} if "api-version=" in path else {"api-version": API_VERSION}
        request_id = str(uuid4(self._chance))
        for number in range(TRIES):
            try:
                answer = self._http.request(
                    method,
                    path,
                    params=parameters or None,
                    json=body,
                    headers={
                        "Authorization": f"Bearer {self._bearer()}",
                        "x-ms-client-request-id": request_id,
                    },
                )
            except httpx.TransportError as error:
                if number == TRIES - 1:
                    raise _unreachable(self._connection, error) from error
                self._clock.sleep(0.2 * 2**number)
                continue
            if answer.status_code == 401 and number == 0:
                self._token = ""  # the control plane may have been made anew
                continue
            if answer.status_code in (429, 503) and number < TRIES - 1:
                self._clock.sleep(0.2 * 2**number)
                continue
            if answer.is_success:
                return answer
            raise _error(answer)
        raise ControlUnavailable("the control plane gave no answer")

    def _bearer(self) -> str:
        if self._token and self._clock.monotonic() < self._token_until:
            return self._token
        answer = self._http.post(
            f"/{self._connection.tenant}/oauth2/v2.0/token",
            data={
                "grant_type": "client_credentials",
                "client_id": self._connection.client_id,
                "client_secret": self._connection.client_secret,
                "scope": f"{self._connection.arm}/.default",
            },
        )
        if not answer.is_success:
            raise Unauthenticated(
                f"the control plane does not know this client (HTTP {answer.status_code})",
                hint="connection.json is out of date: `strongroom down`, then `strongroom up`.",
            )
        told = answer.json()
        self._token = str(told["access_token"])
        self._token_until = self._clock.monotonic() + float(told["expires_in"]) - 60
        return self._token


@contextmanager
def opened(connection: Connection, clock: Clock, chance: Chance) -> Iterator[Rest]:
    """A client for the length of a command."""
    rest = Rest(connection, clock, chance)
    try:
        yield rest
    finally:
        rest.close()


def error_of(error: Mapping[str, Any], status: int) -> VaultError:
    """ARM's error object as one of our own errors: kind by name, else by HTTP status."""
    info: Mapping[str, Any] = {}
    for entry in error.get("additionalInfo") or []:
        if entry.get("type") == "UserFacingError":
            info = entry.get("info") or {}
    code = str(error.get("code") or "")
    ours = (info.get("properties") or {}).get("Kind")
    kind = str(ours or (info.get("innerError") or {}).get("code") or code)
    cls = every_error().get(kind) or _BY_STATUS.get(status, Failed)
    actions = [str(action) for action in info.get("recommendedAction") or []]
    message = str(error.get("message") or f"HTTP {status}")
    return cls(message, hint=" / ".join(actions), code=code)


def moment(text: str | None) -> Instant | None:
    """ARM's time; None for absent."""
    return Instant.parse_iso(text) if text else None


def short_time(text: str | None) -> str:
    """ARM's time for people: seconds, UTC."""
    found = moment(text)
    return found.to_stdlib().strftime("%Y-%m-%d %H:%M:%S") if found else ""


def _error(answer: httpx.Response) -> VaultError:
    try:
        told = answer.json()
    except ValueError:
        told = {}
    if isinstance(told.get("strongroom"), dict):
        ours = from_dict(told["strongroom"])
        if type(ours) is not Failed:
            return ours
    return error_of(told.get("error") or {}, answer.status_code)


def _unreachable(connection: Connection, error: httpx.TransportError) -> ControlUnavailable:
    words = str(error) or type(error).__name__
    return ControlUnavailable(
        f"the control plane at {connection.arm} cannot be reached: {words}",
        hint="Is it running? `strongroom status` shows it, `strongroom up` starts it.",
    )


def _trust(ca: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise Precondition(
            f"the certificate authority {ca} cannot be read",
            hint="connection.json is out of date: `strongroom down`, then `strongroom up`.",
        ) from error
