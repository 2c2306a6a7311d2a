"""Paths in canonical case."""

import pytest

from strongroom.web.api.canonical import SEGMENTS, canonical


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
