"""The short way to a route: the same answers as FastAPI's own, and the same refusals."""

from collections.abc import Iterator

import httpx
import pytest

from arm_routes import api_routes
from arm_world import GROUP, SUBSCRIPTION, VERSION, ArmWorld, vault_id
from strongroom.web.known_routes import KnownRoutes

GROUP_ID = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"
ASKED = (
    ("GET", vault_id(), VERSION),
    ("GET", vault_id(), {}),
    ("GET", vault_id(), {"api-version": "a\nb"}),
    ("GET", vault_id().upper().replace(SUBSCRIPTION.upper(), SUBSCRIPTION), VERSION),
    ("GET", vault_id("nobody's"), VERSION),
    ("GET", f"{vault_id()}/backupInstances", VERSION),
    ("GET", f"{vault_id()}/backupJobs", {**VERSION, "$filter": "x" * 600}),
    ("GET", f"{vault_id()}/backupInstances/%00", VERSION),
    ("GET", f"{GROUP_ID}/providers/Microsoft.Authorization/roleAssignments", VERSION),
    ("GET", f"{GROUP_ID}/providers/Microsoft.DataProtection/nothing", VERSION),
    ("PATCH", f"{vault_id()}/backupJobs", VERSION),
    ("GET", "/metadata/endpoints", VERSION),
)


@pytest.fixture(scope="module")
def http(world: ArmWorld) -> Iterator[httpx.Client]:
    with world.http() as found:
        assert found.put(GROUP_ID, params=VERSION, json={"location": "local"}).status_code == 201
        assert found.put(vault_id(), params=VERSION, json={"location": "local"}).status_code == 201
        yield found


def told(http: httpx.Client) -> list[tuple[int, str, str]]:
    answers = [http.request(method, path, params=params) for method, path, params in ASKED]
    return [
        (answer.status_code, answer.headers["content-type"], answer.json()) for answer in answers
    ]


def test_the_short_way_answers_as_the_long_one(world: ArmWorld, http: httpx.Client) -> None:
    routes = world.app.router.routes
    short = told(http)
    known = routes.pop(1)
    assert isinstance(known, KnownRoutes)
    try:
        long = told(http)
    finally:
        routes.insert(1, known)
    for asked, one, other in zip(ASKED, short, long, strict=True):
        assert one == other, asked
    assert {status for status, _, _ in short} == {200, 400, 404, 405}


def test_most_routes_are_known(world: ArmWorld) -> None:
    known = world.app.router.routes[1]
    names = {
        (method, path): path.replace("{", "").replace("}", "") for method, path, _ in api_routes()
    }
    taken = [
        known.matches({"type": "http", "method": method, "path": path})[1].get("route")
        for (method, _), path in names.items()
    ]
    assert sum(route is not None for route in taken) > 0.8 * len(names)
