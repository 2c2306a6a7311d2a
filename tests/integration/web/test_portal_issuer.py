"""Sign in by an issuer that is trusted: a real one, over https, with the code flow and PKCE."""

import base64
import hashlib
import json
import re
import secrets
import ssl
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from arm_world import ArmWorld
from foreign_issuer import ForeignIssuer
from strongroom.control.identities import issuers
from strongroom.model.identities.access import Caller
from strongroom.model.identities.issuer import Issuer

CLIENT, SECRET = "strongroom-portal", "of the portal alone"


class CodeIssuer(ForeignIssuer):
    """Asks nobody anything: whoever comes to authorize is anna. A code is good once."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.codes: dict[str, dict[str, str]] = {}
        self.more: dict[str, Any] = {}
        self._server.RequestHandlerClass = _with_codes(self, self._server.RequestHandlerClass)

    def document(self, path: str) -> dict[str, Any] | None:
        found = super().document(path)
        if found is not None and "jwks_uri" in found:
            places = {"authorization_endpoint": f"{self.url}/authorize"}
            found |= places | {"token_endpoint": f"{self.url}/token"}
        return found

    def redeem(self, sent: dict[str, str]) -> dict[str, Any] | None:
        asked = self.codes.pop(sent.get("code", ""), None)
        digest = hashlib.sha256(sent.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if asked is None or challenge != asked["code_challenge"]:
            return None
        if sent["client_secret"] != SECRET or sent["redirect_uri"] != asked["redirect_uri"]:
            return None
        claims = {"aud": CLIENT, "nonce": asked["nonce"], "preferred_username": "anna"} | self.more
        return {"id_token": self.token(time.time(), **claims)}


def _with_codes(issuer: CodeIssuer, base: Any) -> type[BaseHTTPRequestHandler]:
    class Handler(base):
        def do_GET(self) -> None:  # noqa: N802 - as the library calls it
            parts = urlsplit(self.path)
            if not parts.path.endswith("/authorize"):
                super().do_GET()
                return
            asked = {name: found[0] for name, found in parse_qs(parts.query).items()}
            code = secrets.token_hex(8)
            issuer.codes[code] = asked
            told = urlencode({"code": code, "state": asked["state"]})
            self.send_response(303)
            self.send_header("Location", f"{asked['redirect_uri']}?{told}")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_POST(self) -> None:  # noqa: N802
            raw = self.rfile.read(int(self.headers["Content-Length"])).decode()
            told = issuer.redeem({name: found[0] for name, found in parse_qs(raw).items()})
            body = json.dumps(told or {"error": "invalid_grant"}).encode()
            self.send_response(200 if told else 400)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CodeIssuer]:
    found = CodeIssuer(tmp_path_factory.mktemp("issuer") / "ca")
    yield found
    found.close()


@pytest.fixture(scope="module")
def trusted(world: ArmWorld, issuer: CodeIssuer) -> Issuer:
    owner = Caller(principal_id=world.owner_id)
    wish = {"issuer": issuer.url, "audiences": [CLIENT], "certificateAuthority": issuer.ca}
    found, _ = issuers.add_issuer(world.control, owner, "corp", wish)
    told = {"issuer": issuer.url, "clientId": CLIENT, "clientSecret": SECRET}
    world.app.state.sign_in_file.write_text(json.dumps(told))
    return found


@pytest.fixture
def guest(world: ArmWorld, trusted: Issuer) -> Iterator[httpx.Client]:
    with world.http("nobody") as http:
        del http.headers["Authorization"]
        yield http


def come_back(guest: httpx.Client, issuer: CodeIssuer) -> str:
    """To the issuer and back, as a browser goes; the address that the issuer sends it to."""
    begun = guest.get("/sign-in/issuer?to=/jobs")
    assert begun.status_code == 303, begun.text
    context = ssl.create_default_context(cadata=issuer.ca)
    with httpx.Client(verify=context) as elsewhere:
        return elsewhere.get(begun.headers["location"]).headers["location"]


def test_whom_the_issuer_vouches_for_is_signed_in_with_the_roles_they_hold(
    world: ArmWorld, issuer: CodeIssuer, trusted: Issuer, guest: httpx.Client
) -> None:
    assert "Sign in with your organisation" in guest.get("/sign-in").text
    place = come_back(guest, issuer)
    done = guest.get(place)
    assert (done.status_code, done.headers["location"]) == (303, "/jobs")
    page = guest.get("/settings")
    assert "corp: anna" in page.text
    assert trusted.principal_of("user", "u-1") in page.text
    assert guest.get("/access").status_code == 404  # they hold no role yet
    first = guest.get("/").text
    assert "You hold no role here yet." in first
    assert "nothing that you may see" in first
    assert "protected yet" not in first  # which nobody who sees nothing can know
    assert guest.get(place).status_code == 401  # a code is good once


@pytest.mark.parametrize(
    "wrong", [{"nonce": "another"}, {"aud": "https://vault.example"}, {"exp": 1}]
)
def test_a_token_that_answers_another_question_opens_nothing(
    issuer: CodeIssuer, guest: httpx.Client, wrong: dict[str, Any]
) -> None:
    issuer.more = wrong
    refused = guest.get(come_back(guest, issuer))
    issuer.more = {}
    assert refused.status_code == 401
    assert not any("strongroom" in name for name in guest.cookies)


def test_a_code_that_somebody_else_has_brought_is_not_taken(
    issuer: CodeIssuer, guest: httpx.Client
) -> None:
    place = come_back(guest, issuer)
    forged = re.sub(r"state=[^&]+", "state=theirs", place)
    assert guest.get(forged).status_code == 401
    guest.cookies.clear()
    assert guest.get(place).status_code == 401


def test_an_issuer_that_is_down_or_believed_no_more_lets_nobody_in(
    world: ArmWorld, issuer: CodeIssuer, guest: httpx.Client
) -> None:
    guest.get(come_back(guest, issuer))
    assert guest.get("/settings").status_code == 200
    issuer.down = True
    assert guest.get("/sign-in/issuer").status_code == 503
    issuer.down = False
    issuers.remove_issuer(world.control, Caller(principal_id=world.owner_id), "corp")
    assert guest.get("/settings").status_code == 303
    assert guest.get("/sign-in/issuer").status_code == 400
