"""An issuer of OpenID Connect beside our own: whom it vouches for, and whom it cannot."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from cyclopts import App
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, OctKey, RSAKey

from arm_story import GROUP_ID, GUIDS, assignment_body, assignment_id
from arm_world import APP, GROUP, SECRET, SUBSCRIPTION, TENANT, VERSION, ArmWorld
from foreign_issuer import ForeignIssuer
from strongroom.app.commands import _means
from strongroom.cli import main as cli
from strongroom.model.identities.access import CONTRIBUTOR, MUA_OPERATOR, OWNER, READER
from strongroom.web.api.foreign_tokens import ForeignTokens
from strongroom.web.api.issuer_keys import AGAIN_SECONDS, FRESH_SECONDS, LONGEST_SECONDS

HOME = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization"
CORP = f"{HOME}/trustedIssuers/corp"
GROUPS = f"/subscriptions/{SUBSCRIPTION}/resourceGroups"


class Ahead:
    """The world's clock, ahead of it by as much as a test says."""

    def __init__(self, world: ArmWorld) -> None:
        self._clock = world.clock
        self.seconds = 0.0

    def now(self):
        return self._clock.now()

    def monotonic(self) -> float:
        return self._clock.monotonic() + self.seconds

    def sleep(self, seconds: float) -> None:
        self._clock.sleep(seconds)


class Corp:
    """The world, its owner, and the issuer that they trust."""

    def __init__(self, world: ArmWorld, issuer: ForeignIssuer, http: httpx.Client) -> None:
        self.world, self.issuer, self.http = world, issuer, http
        self.ahead = Ahead(world)
        self.forget_keys()

    def forget_keys(self) -> None:
        """As a `serve` that has just started: it has no key of anybody."""
        control = replace(self.world.control, clock=self.ahead)
        self.world.app.state.foreign = ForeignTokens(control, self.world.app.state.run)

    @property
    def now(self) -> float:
        return self.world.clock.now().timestamp()

    def trust(self, **more: object) -> httpx.Response:
        told = {"issuer": self.issuer.url, "certificateAuthority": self.issuer.ca}
        told |= {"audiences": ["https://vault.example"], **more}
        return self.http.put(CORP, params=VERSION, json={"properties": told})

    def add(self, name: str, kind: str, subject: str) -> str:
        told = {"issuer": "corp", "kind": kind, "subject": subject}
        url = f"{HOME}/servicePrincipals/{name}"
        answer = self.http.put(url, params=VERSION, json={"properties": told})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def give(self, principal: str, role: str, guid: str, scope: str = GROUP_ID) -> httpx.Response:
        wish = assignment_body(role, principal)
        return self.http.put(assignment_id(scope, guid), params=VERSION, json=wish)

    def ask(self, token: str, url: str = GROUP_ID) -> httpx.Response:
        with self.world.http(token) as client:
            return client.get(url, params=VERSION)


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForeignIssuer]:
    found = ForeignIssuer(tmp_path_factory.mktemp("issuer") / "corp")
    yield found
    found.close()


@pytest.fixture(scope="module")
def corp(world: ArmWorld, issuer: ForeignIssuer) -> Iterator[Corp]:
    with world.http() as http:
        assert http.put(GROUP_ID, params=VERSION, json={"location": "local"}).status_code == 201
        found = Corp(world, issuer, http)
        assert found.trust().status_code == 201
        user = found.add("anna", "user", "u-1")
        assert found.give(user, READER.id, GUIDS[0]).status_code == 201
        yield found


def test_whom_a_trusted_issuer_vouches_for_has_the_roles_that_they_were_given(corp: Corp) -> None:
    answer = corp.ask(corp.issuer.token(corp.now))
    assert answer.status_code == 200, answer.text
    with corp.world.http(corp.issuer.token(corp.now)) as client:
        put = client.put(f"{GROUPS}/other", params=VERSION, json={"location": "local"})
    assert put.status_code == 404


def test_somebody_unknown_to_us_sees_nothing(corp: Corp) -> None:
    assert corp.ask(corp.issuer.token(corp.now, sub="u-2")).status_code == 404


def test_a_group_gives_its_role_to_whoever_is_in_it(corp: Corp) -> None:
    group = corp.add("admins", "group", "g-1")
    assert corp.give(group, CONTRIBUTOR.id, GUIDS[1]).json()["properties"]["principalType"] == (
        "Group"
    )
    member = corp.issuer.token(corp.now, sub="u-3", groups=["g-0", "g-1"])
    assert corp.ask(member).status_code == 200
    assert corp.ask(corp.issuer.token(corp.now, sub="u-3", groups=["g-0"])).status_code == 404
    assert (
        corp.ask(corp.issuer.token(corp.now, sub="g-1")).status_code == 404
    )  # no user is a group
    listed = corp.ask(member, GROUPS).json()["value"]
    assert [each["name"] for each in listed] == [GROUP_ID.rpartition("/")[2]]


def test_nobody_approves_as_one_of_a_group(corp: Corp) -> None:
    group = corp.add("approvers", "group", "g-2")
    answer = corp.give(group, MUA_OPERATOR.id, GUIDS[2])
    assert answer.status_code == 400
    assert "in person" in answer.text


def test_a_role_for_another_kind_of_principal_than_it_is_is_refused(corp: Corp) -> None:
    group = corp.add("typed", "group", "g-3")
    wish = assignment_body(READER.id, group)
    wish["properties"]["principalType"] = "ServicePrincipal"
    answer = corp.http.put(assignment_id(GROUP_ID, GUIDS[3]), params=VERSION, json=wish)
    assert answer.json()["error"]["code"] == "UnmatchedPrincipalType"


@pytest.mark.parametrize(
    "wrong",
    [
        {"iss": "https://evil.example"},
        {"iss": 7},
        {"aud": "https://another.example"},
        {"aud": ["https://another.example"]},
        {"aud": None},
        {"exp": None},
        {"exp": 1},
        {"exp": "soon"},
        {"exp": True},
        {"nbf": 1 << 40},
        {"iat": 1 << 40},
        {"sub": None},
        {"sub": ""},
        {"sub": {"a": 1}},
        {"sub": "x" * 513},
        {"groups": "g-1"},
        {"groups": [1]},
        {"groups": ["g"] * 1001},
    ],
)
def test_a_token_with_a_wrong_claim_is_refused(corp: Corp, wrong: dict[str, object]) -> None:
    answer = corp.ask(corp.issuer.token(corp.now, **wrong))
    assert answer.status_code == 401, answer.text
    assert answer.json()["error"]["code"] == "InvalidAuthenticationToken"


def test_clocks_may_be_a_minute_apart_and_an_audience_one_of_several(corp: Corp) -> None:
    many = ["https://another.example", "https://vault.example/"]
    assert corp.ask(corp.issuer.token(corp.now, exp=corp.now - 40, aud=many)).status_code == 200
    assert corp.ask(corp.issuer.token(corp.now, nbf=corp.now + 40)).status_code == 200
    assert corp.ask(corp.issuer.token(corp.now, exp=corp.now - 90)).status_code == 401


def tampered(token: str) -> str:
    head, claims, signature = token.split(".")
    return ".".join((head, claims, ("A" if signature[0] != "A" else "B") + signature[1:]))


def test_only_the_issuers_keys_and_their_own_algorithm_sign(corp: Corp) -> None:
    issuer, now = corp.issuer, corp.now
    right = issuer.keys[-1]
    stranger = ECKey.generate_key("P-256", {"kid": right.kid})
    secret = OctKey.import_key(right.as_pem(private=False).hex(), {"kid": right.kid})
    for token in (
        tampered(issuer.token(now)),
        issuer.token(now, key=stranger),
        issuer.token(now, key=secret, header={"alg": "HS256"}),  # the public key is no secret
        issuer.token(now, key=RSAKey.generate_key(2048, {"kid": right.kid})),
        issuer.token(now, header={"kid": "another"}),
        "eyJhbGciOiJFUzI1NiIsImtpZCI6N30." + issuer.token(now).partition(".")[2],  # kid 7
        issuer.token(now, header={"typ": "logout+jwt"}),
        issuer.token(now).rpartition(".")[0] + ".",
        "eyJhbGciOiJub25lIn0." + issuer.token(now).split(".")[1] + ".",
    ):
        assert corp.ask(token).status_code == 401


def test_a_rotated_key_is_fetched_at_most_once_a_minute(corp: Corp) -> None:
    issuer = corp.issuer
    assert corp.ask(issuer.token(corp.now)).status_code == 200
    before, old = issuer.asked, issuer.token(corp.now)
    corp.ahead.seconds += AGAIN_SECONDS
    issuer.rotate(RSAKey.generate_key(2048, {"kid": "rsa-1", "use": "sig"}))
    assert corp.ask(issuer.token(corp.now)).status_code == 200
    assert corp.ask(old).status_code == 401
    issuer.rotate()
    assert [corp.ask(issuer.token(corp.now)).status_code for _ in range(3)] == [401] * 3
    assert issuer.asked == before + 1
    corp.ahead.seconds += AGAIN_SECONDS
    assert corp.ask(issuer.token(corp.now)).status_code == 200
    assert issuer.asked == before + 2


def test_a_key_that_is_weak_or_for_something_else_signs_nothing(corp: Corp) -> None:
    issuer = corp.issuer
    with pytest.warns(SecurityWarning):
        weak = RSAKey.generate_key(1024, {"kid": "weak"})
    strong = RSAKey.generate_key(2048, {"kid": "strong"})
    for key, marks in ((weak, {}), (strong, {"use": "enc"}), (strong, {"alg": "PS256"})):
        corp.forget_keys()
        issuer.rotate(key, **marks)
        assert corp.ask(issuer.token(corp.now)).status_code == 401
    issuer.rotate()
    corp.forget_keys()


def test_an_issuer_that_is_down_is_believed_for_a_day_and_no_longer(corp: Corp) -> None:
    issuer = corp.issuer
    assert corp.ask(issuer.token(corp.now)).status_code == 200
    issuer.down = True
    try:
        corp.ahead.seconds += FRESH_SECONDS + 1
        assert corp.ask(issuer.token(corp.now)).status_code == 200
        corp.ahead.seconds += LONGEST_SECONDS
        answer = corp.ask(issuer.token(corp.now))
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "IssuerUnavailable")
    finally:
        issuer.down = False
    corp.ahead.seconds += AGAIN_SECONDS
    assert corp.ask(issuer.token(corp.now)).status_code == 200


def test_what_is_believed_of_an_issuer_does_not_change(corp: Corp) -> None:
    assert corp.trust().status_code == 200
    assert corp.trust(subjectClaim="email").status_code == 409
    told = corp.http.get(CORP, params=VERSION).json()["properties"]
    assert told["subjectClaim"] == "sub"
    listed = corp.http.get(CORP.rpartition("/")[0], params=VERSION).json()["value"]
    assert [each["properties"]["issuer"] for each in listed] == [corp.issuer.url]


@pytest.mark.parametrize(
    "wrong",
    [
        {"issuer": "http://idp.example"},
        {"issuer": "https://user@idp.example"},
        {"issuer": "https://idp.example?x=1"},
        {"issuer": "https://[::1"},
        {"issuer": ""},
        {"audiences": "all"},
        {"audiences": [""]},
        {"subjectClaim": "a b"},
        {"certificateAuthority": "-----BEGIN NOTHING-----"},
    ],
)
def test_an_issuer_that_cannot_be_is_refused(corp: Corp, wrong: dict[str, object]) -> None:
    told = {"issuer": "https://idp.example", **wrong}
    url = f"{HOME}/trustedIssuers/wrong"
    answer = corp.http.put(url, params=VERSION, json={"properties": told})
    assert answer.status_code == 400, answer.text


def test_an_agents_door_and_ours_open_with_no_token_of_the_other(corp: Corp) -> None:
    """Token confusion: S7."""
    with corp.world.http(corp.issuer.token(corp.now)) as client:
        assert client.post("/agents/lease", json={}).status_code == 401
    with corp.world.http(corp.world.token()) as client:
        assert client.post("/agents/lease", json={}).status_code == 401
    form = {"grant_type": "client_credentials", "client_id": "anna", "client_secret": ""}
    with corp.world.http("x") as client:
        assert client.post(f"/{TENANT}/oauth2/token", data=form).status_code == 401


def test_trust_that_is_taken_away_takes_every_role_with_it(corp: Corp) -> None:
    """And given again, even to the same address, it gives none of them back."""
    assert corp.ask(corp.issuer.token(corp.now)).status_code == 200
    assert corp.http.delete(CORP, params=VERSION).status_code == 200
    assert corp.http.delete(CORP, params=VERSION).status_code == 204
    assert corp.http.get(CORP, params=VERSION).status_code == 404
    assert corp.ask(corp.issuer.token(corp.now)).status_code == 401
    assert corp.trust().status_code == 201
    assert corp.ask(corp.issuer.token(corp.now)).status_code == 404
    user = corp.add("anna", "user", "u-1")
    assert corp.give(user, OWNER.id, GUIDS[5]).status_code == 201
    assert corp.ask(corp.issuer.token(corp.now)).status_code == 200


def test_the_command_line_trusts_names_and_takes_away(corp: Corp, tmp_path: Path) -> None:
    world, issuer = corp.world, corp.issuer
    assert corp.http.delete(CORP, params=VERSION).status_code == 200
    told = {"portal": "", "arm": world.url, "ca": world.ca, "tenant": TENANT}
    told |= {"subscription": SUBSCRIPTION, "resourceGroup": GROUP, "location": "local"}
    told |= {"clientId": APP, "clientSecret": SECRET, "blob": "", "blobAccount": ""}
    (tmp_path / "connection.json").write_text(json.dumps(told | {"blobKey": "", "vault": "v1"}))
    (tmp_path / "idp.pem").write_text(issuer.ca)
    app = cli.build(App())

    def run(*words: str) -> int:
        return cli.run(app, [*words, "--data", str(tmp_path)], _means())

    trust = ("issuer", "add", "corp", issuer.url, "--audience", "https://vault.example")
    assert run(*trust, "--ca", str(tmp_path / "idp.pem"), "--subject-claim", "oid") == 0
    link = ("principal", "link", "bea", "--issuer", "corp", "--subject", "o-1")
    assert run(*link, "--role", "Reader") == 0
    assert corp.ask(issuer.token(corp.now, oid="o-1", sub="x")).status_code == 200
    assert corp.ask(issuer.token(corp.now)).status_code == 401  # it says no oid
    assert run("issuer", "list") == run("principal", "list") == 0
    assert run("principal", "remove", "bea") == 0
    assert corp.ask(issuer.token(corp.now, oid="o-1")).status_code == 404
    assert run("issuer", "add", "wrong", issuer.url, "--ca", str(tmp_path / "none")) != 0
    assert run("issuer", "remove", "corp") == 0
    assert corp.ask(issuer.token(corp.now, oid="o-1")).status_code == 401
