"""Paths in canonical case."""

import asyncio
from typing import Any

import pytest
from starlette.exceptions import HTTPException

from strongroom.web.api.canonical import SEGMENTS, canonical, limited


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/SUBSCRIPTIONS/s//resourcegroups/RG/", "/subscriptions/s/resourceGroups/RG"),
        ("/providers/microsoft.authorization/ROLEDEFINITIONS", None),
        ("/agents/lease", "/agents/lease"),
        ("/Tenant/v2.0/.well-known/openid-configuration", None),
    ],
)
def test_known_segments_get_their_own_case_and_names_keep_theirs(
    path: str, expected: str | None
) -> None:
    authorization = "/providers/Microsoft.Authorization/roleDefinitions"
    unchanged = authorization if path.startswith("/providers") else path
    assert canonical(path) == (expected or unchanged)


def test_every_literal_segment_of_a_route_is_known() -> None:
    from arm_routes import api_routes

    literal = {
        part
        for _, path, _ in api_routes()
        for part in path.split("/")
        if part and not part.startswith("{")
    }
    assert {part for part in literal if SEGMENTS.get(part.lower()) != part} == set()


def test_a_name_that_is_a_word_of_ours_keeps_its_case() -> None:
    home = "/subscriptions/s/resourceGroups/Backup/providers/Microsoft.DataProtection"
    place = f"{home}/backupVaults/RESTORE/backupInstances/Sync"
    assert canonical(f"{place}/BACKUP") == f"{place}/backup"
    exports = f"{home}/backupVaults/v/backupJobs"
    assert canonical(f"{exports}/OPERATIONS/8f1c") == f"{exports}/operations/8f1c"


SCOPE = {"path": "/subscriptions", "headers": []}


def test_a_body_that_does_not_come_to_its_end_is_given_up() -> None:
    pieces = [{"type": "http.request", "body": b"x", "more_body": True}]

    async def receive() -> Any:
        return pieces.pop() if pieces else await asyncio.Event().wait()

    async def run() -> None:
        take = limited(SCOPE, receive, 0.05)
        assert (await take())["body"] == b"x"
        await take()

    with pytest.raises(HTTPException) as refused:
        asyncio.run(run())
    assert refused.value.status_code == 408


def test_who_has_sent_all_may_wait_for_the_answer_as_long_as_it_takes() -> None:
    async def run() -> Any:
        asked, gone = asyncio.Event(), asyncio.Event()

        async def receive() -> Any:
            if asked.is_set():
                await gone.wait()
                return {"type": "http.disconnect"}
            asked.set()
            return {"type": "http.request", "body": b""}

        take = limited(SCOPE, receive, 0.0001)
        await take()
        asyncio.get_running_loop().call_later(0.05, gone.set)
        return await take()

    assert asyncio.run(run()) == {"type": "http.disconnect"}
