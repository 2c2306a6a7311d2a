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
    # Words that names may be, and words that Azure does not have, keep the case they come in.
    verbs = {"backup", "restore", "verify", "drill", "cancel", "undelete", "grant", "deny"}
    ours = {"collectGarbage", "planRestore", "storageFindings", "drills", "releaseExpiry"}
    ours |= {"keys", "checkKeys", "rotateKeys", "rotateKeyEncryptionKey", "replaceRecoveryKey"}
    ours |= {"shredCertificates", "legalHolds", "deletedRecoveryPoints", "secondCopy"}
    ours |= {"approvals", "auditRecords", "servicePrincipals", "renewSecret"}
    ours |= {"versions", "preview", "applyToPoints"}
    assert {part for part in literal if SEGMENTS.get(part.lower()) != part} == verbs | ours
