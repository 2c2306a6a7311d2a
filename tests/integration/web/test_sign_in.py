"""Other ways to sign in than with a secret, and what becomes of who may no longer."""

import asyncio
import base64
import datetime
import json
from collections.abc import Iterator

import httpx
import pytest
from azure.core.pipeline.transport import AsyncioRequestsTransport, RequestsTransport
from azure.identity import (
    CertificateCredential,
    CredentialUnavailableError,
    ManagedIdentityCredential,
    aio,
)
from azure.mgmt.dataprotection import DataProtectionMgmtClient
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from joserfc import jwt
from joserfc.jwk import ECKey

from arm_world import APP, GROUP, SECRET, SUBSCRIPTION, TENANT, VERSION, ArmWorld, vault_id
from seams import FakeClock
from strongroom.model.identities.access import OWNER
from strongroom.web.pace import Pace

GROUP_ID = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"


@pytest.fixture(scope="module")
def http(world: ArmWorld) -> Iterator[httpx.Client]:
    with world.http() as found:
        assert found.put(GROUP_ID, params=VERSION, json={"location": "local"}).status_code == 201
        assert found.put(vault_id(), params=VERSION, json={"location": "local"}).status_code == 201
        yield found


def refused(answer: httpx.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text


def sign_in(world: ArmWorld, form: dict[str, str]) -> httpx.Response:
    with world.http("x") as client:
        return client.post(f"/{TENANT}/oauth2/v2.0/token", data=form)


def certificate(key: object, days: int = 30) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "robot")])
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=10)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name)
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(start)
    builder = builder.not_valid_after(start + datetime.timedelta(days=days))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def pem_of(key: object) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def add_robot(http: httpx.Client, name: str, pem: bytes) -> httpx.Response:
    home = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/servicePrincipals"
    told = {"properties": {"certificate": pem.decode()}}
    return http.put(f"{home}/{name}", params=VERSION, json=told)


def test_azures_client_signs_in_with_a_certificate(world: ArmWorld, http: httpx.Client) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = certificate(key)
    made = add_robot(http, "robot", pem).json()
    assert "secretText" not in made["properties"]
    told = "contoso.example", made["properties"]["appId"]  # whatever they call it
    options = {"certificate_data": pem + pem_of(key), "authority": world.url}
    options |= {"disable_instance_discovery": True, "connection_verify": world.ca}
    scope = f"{world.url}/.default"
    tokens = []
    for more in ({}, {"send_certificate_chain": True}):
        with CertificateCredential(*told, **options, **more) as credential:
            tokens.append(credential.get_token(scope).token)

    async def signed_in() -> str:
        transport = AsyncioRequestsTransport(connection_verify=world.ca)
        async with aio.CertificateCredential(*told, **options, transport=transport) as credential:
            return (await credential.get_token(scope)).token

    for token in (*tokens, asyncio.run(signed_in())):
        with world.http(token) as client:
            assert client.get("/subscriptions", params=VERSION).json() == {"value": []}
    assert add_robot(http, "robot-3", pem_of(key)).status_code == 400
    weak = certificate(rsa.generate_private_key(public_exponent=65537, key_size=1024))  # noqa: S505
    assert add_robot(http, "robot-4", weak).status_code == 400


def test_an_assertion_for_somebody_else_or_another_time_is_refused(
    world: ArmWorld, http: httpx.Client
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    app = add_robot(http, "signer", certificate(key)).json()["properties"]["appId"]
    late = add_robot(http, "late", certificate(key, days=5)).json()["properties"]["appId"]
    now, endpoint = world.clock.now().timestamp(), f"{world.url}/{TENANT}/oauth2/v2.0/token"
    signing = ECKey.import_key(pem_of(key))

    def sent(client: str, assertion: str) -> int:
        form = {
            "grant_type": "client_credentials",
            "client_id": client,
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": assertion,
        }
        return sign_in(world, form).status_code

    def claims_of(client: str) -> dict[str, object]:
        return {"iss": client, "sub": client, "aud": endpoint, "exp": now + 600, "nbf": now}

    def answer(client: str, **more: object) -> int:
        return sent(client, jwt.encode({"alg": "ES256"}, claims_of(client) | more, signing))

    assert answer(app) == 200
    elsewhere = endpoint.replace(world.url, "https://login.example")
    wrong = [{"iss": "x"}, {"sub": "x"}, {"aud": world.url}, {"aud": elsewhere}]
    assert [answer(app, **each) for each in wrong] == [401] * 4
    assert answer(app) == 200
    assert answer(app, exp=now - 90) == answer(app, aud=f"{world.url}/x/oauth2/token") == 401
    assert answer(app) == 200
    assert answer(app, exp=now + 90000) == answer(app, nbf=now + 90) == answer(late) == 401
    assert answer(APP) == 401  # who has a secret has no certificate
    good = jwt.encode({"alg": "ES256"}, claims_of(app), signing)
    for each in not_signed(good):
        assert sent(app, each) == 401, each[:80]
        assert answer(app) == 200  # whoever only guesses has to wait


def not_signed(good: str) -> list[str]:
    """What is no assertion, though it is made of one."""
    head, body, signature = good.split(".")
    heads = [{"alg": "none"}, {"alg": "HS256"}, {"alg": "RS256"}, {"alg": 7}, {}, []]
    heads += [{"alg": "ES256", "crit": ["b64"], "b64": True}]
    told = [base64.urlsafe_b64encode(json.dumps(each).encode()).decode() for each in heads]
    found = [f"{each}.{body}.{signature}" for each in told] + [f"{told[0]}.{body}."]
    other = base64.urlsafe_b64encode(b'{"iss": "x"}').decode()
    found += [f"{head}.{other}.{signature}", f"{head}.{body}", f"{good}.{body}", f"{good}\n"]
    return [*found, f"{head}=.{body}.{signature}", "a.b.c", "☃.☃.☃", "." * 40_000, "[].[].[]"]


def test_azures_client_signs_in_as_a_managed_identity(
    world: ArmWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{world.url}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", f"{APP}:{SECRET}")
    with ManagedIdentityCredential(connection_verify=world.ca) as credential:
        token = credential.get_token(f"{world.url}/.default").token
    with world.http(token) as client:
        assert client.get("/subscriptions", params=VERSION).json()["value"]
        wrong = {"x-identity-header": f"{APP}:no", "Authorization": ""}
        assert client.get("/msi/token", headers=wrong).status_code == 401
    monkeypatch.setenv("IDENTITY_HEADER", f"{APP}:no")
    with (
        ManagedIdentityCredential(connection_verify=world.ca) as credential,
        pytest.raises(CredentialUnavailableError, match=r"401, .*secret"),
    ):
        credential.get_token(f"{world.url}/.default")


def test_whoever_was_taken_away_has_no_role_left(world: ArmWorld, http: httpx.Client) -> None:
    principal, app, secret = world.principal("leaver", [(OWNER.id, "/")])
    home = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/servicePrincipals"
    with world.http(world.token(app, secret)) as client:
        assert client.get(vault_id(), params=VERSION).status_code == 200
        refused(client.delete(f"{home}/{principal}", params=VERSION), 409, "Conflict")
        assert http.delete(f"{home}/Leaver", params=VERSION).json()["id"] == principal
        assert client.get(vault_id(), params=VERSION).status_code == 404
    assert http.delete(f"{home}/leaver", params=VERSION).status_code == 204
    form = {"grant_type": "client_credentials", "client_id": app, "client_secret": secret}
    assert sign_in(world, form).status_code == 401


def test_whoever_asks_without_end_is_told_how_long_to_wait(world: ArmWorld) -> None:
    usual = world.app.state.pace
    world.app.state.pace = Pace(world.clock, at_once=3, a_second=0.01)
    _, app, secret = world.principal("hasty", [])
    hasty, calm = world.token(app, secret), world.token()
    try:
        with world.http(hasty) as client:
            answers = [client.get("/subscriptions", params=VERSION) for _ in range(4)]
        assert [a.status_code for a in answers] == [200, 200, 200, 429]
        refused(answers[-1], 429, "TooManyRequests")
        assert 90 <= int(answers[-1].headers["Retry-After"]) <= 100
        with world.http(calm) as client:
            assert client.get("/subscriptions", params=VERSION).status_code == 200
    finally:
        world.app.state.pace = usual


class Patient(RequestsTransport):
    """Waits as long as it is told to, on a clock that only this moves."""

    def __init__(self, clock: FakeClock, **more: object) -> None:
        super().__init__(**more)
        self.clock, self.waits = clock, []

    def sleep(self, duration: float) -> None:
        self.waits.append(duration)
        self.clock.advance(duration)


def test_azures_client_waits_as_long_as_it_is_told_and_goes_on(
    world: ArmWorld, http: httpx.Client
) -> None:
    usual, clock = world.app.state.pace, FakeClock()
    world.app.state.pace = Pace(clock, at_once=2, a_second=0.1)
    _, app, secret = world.principal("patient", [(OWNER.id, "/")])
    transport = Patient(clock, connection_verify=world.ca)
    options = {"base_url": world.url, "credential_scopes": [f"{world.url}/.default"]}
    credential = world.credential(app, secret)
    try:
        with DataProtectionMgmtClient(
            credential, SUBSCRIPTION, transport=transport, **options
        ) as client:
            found = [client.backup_vaults.get(GROUP, "v1").name for _ in range(4)]
            named = {"name": "v9", "type": "Microsoft.DataProtection/backupVaults"}
            told = client.backup_vaults.check_name_availability(GROUP, "local", named)
        assert found == ["v1"] * 4
        assert told.name_available
        assert transport.waits == [10, 10, 10]
    finally:
        world.app.state.pace = usual
