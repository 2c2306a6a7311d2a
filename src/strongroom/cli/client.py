"""A thin client of the ARM API: a token, JSON both ways, operations followed to their end."""

import ssl
from typing import Any, Self
from uuid import UUID

import httpx

from strongroom.cli.connection import Connection
from strongroom.model.errors import Failed, StoreUnavailable, VaultError, every_error, from_dict
from strongroom.model.seams import Chance, Clock

BACKUP_VERSION = "2026-06-01"
_POLL_SECONDS = 0.3


class Client:
    """Signed in to one installation."""

    def __init__(self, found: Connection, clock: Clock, chance: Chance) -> None:
        self.found = found
        self._clock = clock
        self._chance = chance
        trust = ssl.create_default_context(cafile=found.ca)
        self._http = httpx.Client(base_url=found.arm, verify=trust, timeout=60.0)
        self._token = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *how: object) -> None:
        self._http.close()

    @property
    def group(self) -> str:
        """The id of the resource group that the command line uses."""
        return (
            f"/subscriptions/{self.found.subscription}/resourceGroups/{self.found.resource_group}"
        )

    @property
    def vault(self) -> str:
        """The id of the vault that the command line uses."""
        return f"{self.group}/providers/Microsoft.DataProtection/backupVaults/{self.found.vault}"

    def server(self, name: str) -> str:
        """A server's id."""
        return f"{self.group}/providers/Microsoft.DBforPostgreSQL/flexibleServers/{name}"

    def get(self, path: str) -> Any:  # noqa: ANN401 - any JSON
        """GET; NotFound and its like as typed errors."""
        return self._send("GET", path).json()

    def values(self, path: str) -> list[Any]:
        """All pages of a list."""
        found: list[Any] = []
        answer = self.get(path)
        while True:
            found += answer["value"]
            if not answer.get("nextLink"):
                return found
            answer = self._send("GET", answer["nextLink"]).json()

    def put(self, path: str, body: dict[str, Any]) -> Any:  # noqa: ANN401 - any JSON
        """PUT, and wait until it is done."""
        answer = self._send("PUT", path, body)
        self._follow(answer)
        return answer.json()

    def post(self, path: str, body: dict[str, Any]) -> Any:  # noqa: ANN401 - any JSON
        """POST, and wait for its result."""
        answer = self._send("POST", path, body)
        if answer.status_code != 202:
            return answer.json()
        self._follow(answer)
        return self._send("GET", answer.headers["Location"]).json()

    def _follow(self, answer: httpx.Response) -> None:
        where = answer.headers.get("Azure-AsyncOperation")
        while where:
            told = self._send("GET", where).json()
            if told["status"] == "Failed":
                raise error_of(told["error"])
            if told["status"] != "Inprogress":
                return
            self._clock.sleep(_POLL_SECONDS)

    def _send(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        if not self._token:
            self._sign_in()
        url = path if "api-version=" in path else f"{path}?api-version={BACKUP_VERSION}"
        headers = {
            "Authorization": f"Bearer {self._token}",
            "x-ms-client-request-id": str(UUID(bytes=self._chance.bytes(16), version=4)),
        }
        try:
            answer = self._http.request(method, url, json=body, headers=headers)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        if answer.is_error:
            raise _refusal(answer)
        return answer

    def _sign_in(self) -> None:
        form = {
            "grant_type": "client_credentials",
            "client_id": self.found.client_id,
            "client_secret": self.found.client_secret,
            "scope": f"{self.found.arm}/.default",
        }
        try:
            answer = self._http.post(f"/{self.found.tenant}/oauth2/v2.0/token", data=form)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        if answer.is_error:
            raise every_error()["Unauthenticated"](
                "the control plane refuses the secret of connection.json",
                hint="use the connection.json that `strongroom up` wrote last",
            )
        self._token = answer.json()["access_token"]

    def _unreachable(self, error: httpx.HTTPError) -> VaultError:
        return StoreUnavailable(
            f"the control plane at {self.found.arm} cannot be reached ({type(error).__name__})",
            hint="see whether it runs: strongroom status",
        )


def _refusal(answer: httpx.Response) -> VaultError:
    try:
        told = answer.json()
    except ValueError:
        return Failed(f"the control plane answers {answer.status_code}")
    if "strongroom" in told:
        return from_dict(told["strongroom"])
    return error_of(told.get("error", {}))


def error_of(told: dict[str, Any]) -> VaultError:
    """ARM's error object as one of ours."""
    info = (told.get("additionalInfo") or [{}])[0].get("info", {})
    actions = info.get("recommendedAction") or []
    kind = (info.get("innerError") or {}).get("code", "")
    return from_dict(
        {
            "kind": kind,
            "code": told.get("code", ""),
            "message": told.get("message", "no message"),
            "hint": actions[0] if actions else "",
            "facts": {"actions": actions},
        }
    )
