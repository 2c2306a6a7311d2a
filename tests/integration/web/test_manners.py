"""How we answer what was never asked right: a typed 4xx in ARM's form, and nothing leaked."""

import json
import threading
from collections.abc import Iterator

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from structlog.testing import capture_logs

from arm_world import APP, GROUP, SECRET, SUBSCRIPTION, TENANT, VERSION, ArmWorld, vault_id
from strongroom.model.errors import Unauthenticated

GROUP_ID = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"


@pytest.fixture(scope="module")
def http(world: ArmWorld) -> Iterator[httpx.Client]:
    with world.http() as found:
        assert found.put(GROUP_ID, params=VERSION, json={"location": "local"}).status_code == 201
        assert found.put(vault_id(), params=VERSION, json={"location": "local"}).status_code == 201
        yield found


def refused(answer: httpx.Response, status: int, code: str) -> None:
    told = answer.json()["error"]
    assert (answer.status_code, told["code"]) == (status, code), answer.text
    assert answer.headers["x-ms-error-code"] == code
    assert answer.headers["x-ms-request-id"]
    assert told["additionalInfo"][0]["type"] == "UserFacingError"
    assert "Traceback" not in answer.text


def test_a_request_without_api_version_is_told_so(http: httpx.Client) -> None:
    refused(http.get(vault_id()), 400, "MissingApiVersionParameter")


@pytest.mark.parametrize("version", ["2026-06-01", "2025-09-01-preview", "1"])
def test_any_api_version_will_do(http: httpx.Client, version: str) -> None:
    assert http.get(vault_id(), params={"api-version": version}).status_code == 200


@pytest.mark.parametrize("version", ["1\r\nX-Evil: 1", "ü", "", "a" * 41, "1&b"])
def test_an_api_version_that_no_header_could_hold_is_refused(
    http: httpx.Client, version: str
) -> None:
    answer = http.put(vault_id(), params={"api-version": version}, json={"location": "local"})
    assert answer.status_code == 400
    assert "x-evil" not in answer.headers


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe{}",
        b'{"tags": {"a": "\\ud800"}}',
        b'{"tags": {"a": "\\u0000"}}',
        b'{"a": NaN}',
        b'{"a": 1e999}',
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"a":' + b"[" * 100 + b"]" * 100 + b"}",
        b'{"tags": {"\\u0000": "a"}}',
        b'{"tags": {"a": 1}, "location": "a"'.ljust(40),
        b'{"location": "local"}'.decode().encode("utf-16"),
        b"",
    ],
)
def test_a_body_that_is_no_plain_json_object_is_refused(http: httpx.Client, body: bytes) -> None:
    answer = http.put(vault_id(), params=VERSION, content=body)
    refused(answer, 400, "InvalidRequestContent")


@pytest.mark.parametrize(
    "body",
    [
        {"tags": "a"},
        {"tags": {"a": 1}},
        {"properties": "text"},
        {"properties": {"storageSettings": {}}},
        {"properties": {"storageSettings": [{"type": "Sticky"}]}},
        {"properties": {"securitySettings": {"softDeleteSettings": {"state": "Perhaps"}}}},
        {
            "properties": {
                "securitySettings": {
                    "softDeleteSettings": {"state": "On", "retentionDurationInDays": 1}
                }
            }
        },
        {"properties": {"securitySettings": {"encryptionSettings": {"state": "Enabled"}}}},
        {"identity": {"type": "UserAssigned"}},
        {"location": "no/where"},
        {"location": 7},
    ],
)
def test_a_vault_that_cannot_be_is_refused(http: httpx.Client, body: dict[str, object]) -> None:
    refused(http.put(vault_id("v2"), params=VERSION, json=body), 400, "BMSUserErrorInvalidInput")


def test_a_huge_body_is_refused_before_it_is_read(http: httpx.Client) -> None:
    body = b'{"a": "' + b"x" * (1 << 20) + b'"}'
    refused(http.put(vault_id(), params=VERSION, content=body), 413, "RequestContentTooLarge")


def test_a_huge_body_in_chunks_is_refused_while_it_is_read(http: httpx.Client) -> None:
    chunks = (b" " * 65536 for _ in range(64))
    refused(http.put(vault_id(), params=VERSION, content=chunks), 413, "RequestContentTooLarge")


def test_a_parameter_that_is_too_long_is_named_and_not_sent_back(http: httpx.Client) -> None:
    asked = {**VERSION, "$skipToken": "x" * 5000}
    answer = http.get(f"{vault_id()}/backupJobs", params=asked)
    refused(answer, 400, "InvalidRequestContent")
    assert "$skipToken: String should have at most" in answer.json()["error"]["message"]
    assert "xxx" not in answer.text


@pytest.mark.parametrize(
    ("method", "place", "body", "message", "step"),
    [
        ("PUT", "v1/backupInstances/one", {"properties": {}}, "no backup policy", "policyId"),
        ("PUT", "v1", {"location": "mars"}, "in location 'local'", "send location local"),
        ("GET", "v1/backupJobs/1", None, "no job 1", "a list of its kind"),
        ("GET", "v1/operationStatus/1", None, "no operation 1", "the identity that began it"),
    ],
)  # fmt: skip
def test_a_refusal_says_what_to_do(
    http: httpx.Client, method: str, place: str, body: object, message: str, step: str
) -> None:
    path = f"{vault_id().rpartition('/')[0]}/{place}"
    error = http.request(method, path, params=VERSION, json=body).json()["error"]
    assert message in error["message"]
    assert step in error["additionalInfo"][0]["info"]["recommendedAction"][0]


def test_an_unknown_path_is_a_404_in_arm_form(http: httpx.Client) -> None:
    refused(http.get(f"{vault_id()}/secrets", params=VERSION), 404, "InvalidResourceType")


@pytest.mark.parametrize("verb", ["syncBackupInstance", "triggerRehydrate"])
def test_an_operation_that_is_not_offered_says_so(http: httpx.Client, verb: str) -> None:
    answer = http.post(f"{vault_id()}/backupInstances/pg1/{verb}", params=VERSION)
    refused(answer, 404, "InvalidResourceType")
    info = answer.json()["error"]["additionalInfo"][0]["info"]
    assert "azure-compatibility" in info["recommendedAction"][0]


def test_a_method_that_is_not_offered_is_a_405(http: httpx.Client) -> None:
    answer = http.patch(f"{vault_id()}/backupInstances/pg1", params=VERSION)
    refused(answer, 405, "MethodNotAllowed")


@pytest.mark.parametrize("name", ["%00", "a%0d%0aX-Evil:%201", "%1b[2J"])
def test_control_characters_in_a_path_are_refused(http: httpx.Client, name: str) -> None:
    answer = http.get(f"{vault_id()}/backupPolicies/{name}?api-version=1")
    refused(answer, 400, "InvalidRequestUri")


@pytest.mark.parametrize("name", ["%c3%28", "%f0%9f%94%91", "..%2f..", "a" * 3000])
def test_odd_names_are_just_not_there(http: httpx.Client, name: str) -> None:
    answer = http.get(f"{vault_id()}/backupPolicies/{name}?api-version=1")
    assert answer.status_code in {400, 404}, answer.text
    assert "error" in answer.json()


def test_another_subscription_is_not_found(http: httpx.Client) -> None:
    other = vault_id().replace(SUBSCRIPTION, "0" * 8)
    refused(http.get(other, params=VERSION), 404, "SubscriptionNotFound")


def test_segments_and_keys_come_in_any_case_and_go_out_canonical(http: httpx.Client) -> None:
    path = (
        f"/SUBSCRIPTIONS/{SUBSCRIPTION}/resourcegroups/{GROUP}/Providers/microsoft.dataprotection"
    )
    body = {"Location": "LOCAL", "TAGS": {"Team": "Data"}}
    answer = http.put(f"{path}/BackupVaults/v1", params=VERSION, json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["id"] == vault_id()
    assert answer.json()["tags"] == {"Team": "Data"}
    assert answer.json()["location"] == "local"


def test_addresses_are_absolute_in_the_name_the_client_dialled(
    world: ArmWorld, http: httpx.Client
) -> None:
    port = world.url.rpartition(":")[2]
    for host, seen in (
        (f"127.0.0.1:{port}", f"https://127.0.0.1:{port}"),
        ("evil.example", world.url),
        (f"localhost:{port}", world.url),
    ):
        answer = http.put(
            vault_id(), params=VERSION, json={"location": "local"}, headers={"Host": host}
        )
        assert answer.headers["Azure-AsyncOperation"].startswith(f"{seen}/subscriptions/")
        assert answer.headers["Location"].startswith(f"{seen}/subscriptions/")
        assert answer.headers["Retry-After"] == "1"


def test_the_correlation_id_of_the_client_is_kept(http: httpx.Client) -> None:
    sent = "0f8fad5b-d9cb-469f-a165-70867728950e"
    headers = {"x-ms-correlation-request-id": sent}
    answer = http.get(vault_id(), params=VERSION, headers=headers)
    assert answer.headers["x-ms-correlation-request-id"] == sent
    odd = http.get(vault_id(), params=VERSION, headers={"x-ms-correlation-request-id": "odd"})
    assert odd.headers["x-ms-correlation-request-id"] == odd.headers["x-ms-request-id"]


def test_a_bug_is_a_500_with_a_correlation_id_and_says_nothing_else(
    world: ArmWorld, http: httpx.Client
) -> None:
    with world.database.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE resource_groups RENAME TO gone")
    try:
        with capture_logs() as logs:
            answer = http.get(f"/subscriptions/{SUBSCRIPTION}/resourceGroups", params=VERSION)
    finally:
        with world.database.writing() as connection:
            connection.exec_driver_sql("ALTER TABLE gone RENAME TO resource_groups")
    assert answer.status_code == 500
    correlation = answer.headers["x-ms-correlation-request-id"]
    told = answer.json()["error"]
    assert told["code"] == "InternalServerError"
    assert told["message"] == f"an internal error; correlation id {correlation}"
    assert "resource_groups" not in answer.text
    assert [(log["event"], log["correlation"]) for log in logs] == [("api.bug", correlation)]


# Tokens


def forged(world: ArmWorld, key: object = None, alg: str = "RS256", **changes: object) -> str:
    now = world.clock.now().timestamp()
    claims = {
        "iss": f"{world.url}/{TENANT}/v2.0",
        "aud": world.url,
        "oid": world.owner_id,
        "tid": TENANT,
        "nbf": now,
        "exp": now + 600,
    }
    claims = {k: v for k, v in (claims | changes).items() if v is not None}
    signing = key or RSAKey.import_key(world.token_key.read_bytes())
    return jwt.encode({"alg": alg}, claims, signing, algorithms=[alg])


def test_a_token_of_our_key_and_our_claims_is_accepted(world: ArmWorld, http: object) -> None:
    with world.http(forged(world)) as client:
        assert client.get(vault_id(), params=VERSION).status_code == 200


def test_a_token_that_was_good_is_good_no_longer_than_it_says(world: ArmWorld) -> None:
    authority, token, now = world.app.state.authority, forged(world), world.clock.now()
    for _ in range(2):
        assert authority.caller_of(token, now).principal_id == world.owner_id
    for late in (now.add(hours=1), now.subtract(hours=1)):
        for _ in range(2):
            with pytest.raises(Unauthenticated):
                authority.caller_of(token, late)
    with pytest.raises(Unauthenticated):
        authority.caller_of(token[:-4] + "AAAA", now)


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "https://sts.windows.net/x/"},
        {"aud": "https://storage.azure.com"},
        {"aud": None},
        {"tid": "another"},
        {"oid": None},
        {"exp": 1},
        {"exp": None},
        {"exp": "soon"},
        {"nbf": 1 << 40},
    ],
)
def test_a_token_with_a_wrong_claim_is_refused(world: ArmWorld, change: dict[str, object]) -> None:
    with world.http(forged(world, **change)) as client:
        answer = client.get(vault_id(), params=VERSION)
    refused(answer, 401, "InvalidAuthenticationToken")
    assert answer.headers["WWW-Authenticate"].startswith('Bearer authorization_uri="https://')


def test_a_token_of_another_key_is_refused(world: ArmWorld) -> None:
    with world.http(forged(world, RSAKey.generate_key(2048))) as client:
        refused(client.get(vault_id(), params=VERSION), 401, "InvalidAuthenticationToken")


def test_the_public_key_is_no_secret_to_sign_with(world: ArmWorld) -> None:
    public = RSAKey.import_key(world.token_key.read_bytes()).as_pem(private=False)
    confused = forged(world, OctKey.import_key(public.hex()), "HS256")
    with world.http(confused) as client:
        refused(client.get(vault_id(), params=VERSION), 401, "InvalidAuthenticationToken")


@pytest.mark.parametrize("header", ["", "Basic YTpi", "Bearer", "Bearer a.b.c", "Bearer ☃"])
def test_no_token_is_no_entry(world: ArmWorld, header: str) -> None:
    with world.http("x") as client:
        sent = {"Authorization": header.encode()}
        answer = client.get(vault_id(), params=VERSION, headers=sent)
    assert answer.status_code == 401
    assert "WWW-Authenticate" in answer.headers


def test_nobody_makes_us_read_a_body_before_signing_in(world: ArmWorld) -> None:
    with world.http("x") as client:
        answer = client.put(vault_id(), params=VERSION, content=b"{")
    assert answer.status_code == 401


def test_a_body_counts_and_neither_its_mark_nor_its_kind(http: httpx.Client) -> None:
    for head in (
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/xml; charset=x"},
        {},
    ):
        for mark in (b"", b"\xef\xbb\xbf"):
            body = mark + b'{"location": "far", "location": "local", "tags": {"a": "1", "a": "2"}}'
            answer = http.put(vault_id(), params=VERSION, content=iter([body]), headers=head)
            assert answer.status_code == 200, answer.text
            assert answer.json()["tags"] == {"a": "2"}  # the last of two keys that are one


def test_names_in_a_query_come_in_any_case(http: httpx.Client) -> None:
    assert http.get(vault_id(), params={"Api-Version": "1"}).status_code == 200
    lists = f"{vault_id()}/backupJobs"
    for name in ("$SKIPTOKEN", "$skiptoken", "%24SkipToken", "$FILTER", "$Filter"):
        refused(http.get(f"{lists}?API-VERSION=1&{name}=odd"), 400, "BMSUserErrorInvalidInput")
    assert http.get(f"{lists}?api-version=1&x$filter=odd&y=$Filter=odd").status_code == 200


def test_whoever_asks_in_a_way_that_is_not_offered_is_told_every_way_that_is(
    http: httpx.Client,
) -> None:
    for method in ("HEAD", "OPTIONS", "TRACE"):
        answer = http.request(method, vault_id(), params=VERSION)
        assert answer.status_code == 405
        assert answer.headers["Allow"] == "DELETE, GET, PATCH, PUT"
        assert answer.headers["x-ms-error-code"] == "MethodNotAllowed"
    assert http.post(f"{vault_id()}/backupJobs", params=VERSION).headers["Allow"] == "GET"
    assert http.delete(GROUP_ID + "/resources", params=VERSION).headers["Allow"] == "GET"


def sign_in(world: ArmWorld, form: dict[str, str], path: str = "/oauth2/v2.0/token") -> object:
    with world.http("x") as client:
        return client.post(f"/{TENANT}{path}", data=form)


def test_both_forms_of_the_token_endpoint_give_a_token(world: ArmWorld) -> None:
    form = {"grant_type": "client_credentials", "client_id": APP, "client_secret": SECRET}
    new = sign_in(world, form | {"scope": f"{world.url}/.default"})
    old = sign_in(world, form | {"resource": world.url}, "/oauth2/token")
    for answer in (new, old):
        told = answer.json()
        assert answer.status_code == 200
        assert told["expires_in"] == 3600
        with world.http(told["access_token"]) as client:
            assert client.get("/subscriptions", params=VERSION).json()["value"]


def test_a_grant_that_is_not_offered_says_so(world: ArmWorld) -> None:
    answer = sign_in(world, {"grant_type": "password"})
    assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_grant_type")


def test_whoever_guesses_has_to_wait_and_others_have_not(world: ArmWorld) -> None:
    _, name, secret = world.principal("guessed", [])
    form = {"grant_type": "client_credentials", "client_id": name, "scope": world.url}
    tries = [sign_in(world, form | {"client_secret": "no"}).status_code for _ in range(6)]
    assert tries == [401] * 5 + [429]
    waiting = sign_in(world, form | {"client_secret": secret})
    assert waiting.status_code == 429
    assert int(waiting.headers["Retry-After"]) >= 1
    assert world.token()


def test_the_keys_that_are_shown_are_public(world: ArmWorld) -> None:
    with world.http("x") as client:
        keys = client.get(f"/{TENANT}/discovery/v2.0/keys").json()["keys"]
        for form in ("v2.0/.well-known", ".well-known"):
            for tenant in (TENANT, "common"):
                found = client.get(f"/{tenant}/{form}/openid-configuration").json()
                assert found["token_endpoint"].startswith(world.url)
    assert {"n", "e", "kid"} <= keys[0].keys()
    assert not {"d", "p", "q", "dp", "dq", "qi"} & keys[0].keys()


# What clients ask before anything else


def test_what_a_client_asks_of_a_cloud_is_answered(world: ArmWorld, http: httpx.Client) -> None:
    assert http.get("/metadata/endpoints").json()["resourceManagerEndpoint"] == world.url
    assert http.get("/tenants", params=VERSION).json()["value"][0]["tenantId"] == TENANT
    home = f"/subscriptions/{SUBSCRIPTION}"
    assert http.get(home, params=VERSION).json()["state"] == "Enabled"
    register = f"{home}/providers/Microsoft.DataProtection/register"
    assert http.post(register, params=VERSION).json()["registrationState"] == "Registered"
    assert http.head(GROUP_ID, params=VERSION).status_code == 204
    assert http.head(f"{GROUP_ID}x", params=VERSION).status_code == 404
    assert http.get("/healthz").status_code == 200
    assert http.get("/readyz").status_code == 200


def test_the_same_post_sent_twice_is_once(world: ArmWorld, http: httpx.Client) -> None:
    headers = {"x-ms-client-request-id": "one-and-the-same"}
    body = {
        "backupInstance": {
            "dataSourceInfo": {
                "resourceId": f"{GROUP_ID}/providers/Microsoft.DBforPostgreSQL/flexibleServers/x"
            },
            "policyInfo": {"policyId": f"{vault_id()}/backupPolicies/none"},
        }
    }
    url = f"{vault_id()}/validateForBackup"
    answers = [http.post(url, params=VERSION, json=body, headers=headers) for _ in range(2)]
    assert {a.status_code for a in answers} == {202}
    assert len({a.headers["Location"] for a in answers}) == 1
    told = http.get(answers[0].headers["Azure-AsyncOperation"]).json()
    for other, key in (
        ({"backupInstance": {**body["backupInstance"], "friendlyName": "x"}}, "one-and-the-same"),
        (body, "another" * 20 + "1"),
        (body, "another" * 20 + "2"),
    ):
        more = {"x-ms-client-request-id": key}
        answers.append(http.post(url, params=VERSION, json=other, headers=more))
    assert len({a.headers["Location"] for a in answers}) == 4
    assert told["status"] == "Failed"
    assert [d["code"] for d in told["error"]["details"]] == ["ResourceNotFound"] * 2


def test_an_operation_is_seen_in_every_context_by_whoever_began_it(
    world: ArmWorld, http: httpx.Client
) -> None:
    answer = http.put(vault_id(), params=VERSION, json={"location": "local"})
    operation = httpx.URL(answer.headers["Location"]).path.rpartition("/")[2]
    home = f"{GROUP_ID}/providers/Microsoft.DataProtection"
    _, name, secret = world.principal("somebody", [("acdd72a7-3385-48ef-bd42-f606fba81ae7", "/")])
    with world.http(world.token(name, secret)) as other:
        for context in (
            httpx.URL(answer.headers["Location"]).path.rpartition("/operationResults")[0],
            home,
            vault_id(),
        ):
            status = f"{context}/operationStatus/{operation}"
            assert http.get(status, params=VERSION).json()["status"] == "Succeeded"
            assert other.get(status, params=VERSION).status_code == 404
            results = f"{context}/operationResults/{operation}"
            assert http.get(results, params=VERSION).status_code == 200


def test_many_at_once_are_all_answered(world: ArmWorld, http: httpx.Client) -> None:
    seen: list[int] = []
    token = world.token()

    def ask(number: int) -> None:
        with world.http(token) as client:
            body = json.dumps({"location": "local", "tags": {"n": str(number)}})
            answer = client.put(vault_id(f"many-{number}"), params=VERSION, content=body)
            seen.append(answer.status_code)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [201] * 12
