"""Names, ids and members of ARM's JSON, read at the door."""

from typing import Any

import pytest

from strongroom.model import arm
from strongroom.model.arm import PolicyRef, ServerRef, VaultRef
from strongroom.model.errors import Invalid

SUB = "11111111-2222-3333-4444-555555555555"
VAULT = VaultRef(resource_group="rg", name="v1")


def test_ids_are_read_whatever_their_case() -> None:
    server = arm.server_id_of(SUB, "rg", "pg1")
    policy = arm.policy_id_of(SUB, VAULT, "daily")
    assert arm.read_server_id(server.upper(), SUB) == ServerRef(resource_group="RG", name="PG1")
    assert arm.read_policy_id(f" {policy} ", SUB) == PolicyRef(vault=VAULT, name="daily")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pg1",
        arm.server_id_of("another", "rg", "pg1"),
        arm.server_id_of(SUB, "rg", "pg1") + "/databases/x",
        "x" + arm.server_id_of(SUB, "rg", "pg1"),
    ],
)
def test_what_is_no_server_of_ours_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        arm.read_server_id(text, SUB)


@pytest.mark.parametrize(
    ("kind", "name", "good"),
    [
        ("vault", "v1", True),
        ("vault", "v", False),
        ("vault", "v_1", False),
        ("vault", "v" * 51, False),
        ("vault", "v1\n", False),
        ("policy", "ab", False),
        ("instance", "pg1-pg1.a_b", True),
        ("instance", "../x", False),
        ("server", "pg1", True),
        ("group", "rg (1)", False),
        ("group", "rg.(1)", True),
    ],
)
def test_names_follow_azures_rules(kind: str, name: str, good: bool) -> None:
    if good:
        assert arm.check_name(kind, name) == name
        return
    with pytest.raises(Invalid):
        arm.check_name(kind, name)


def test_members_are_found_whatever_the_case_of_their_key() -> None:
    body: dict[str, Any] = {"ResourceId": "a", "resourceID": "b", "none": None}
    assert arm.pick(body, "resourceID") == "b"
    assert arm.pick({"ResourceId": "a"}, "resourceID") == "a"
    assert arm.pick_text(body, "none") == ""
    assert arm.pick_object(body, "absent") == {}


@pytest.mark.parametrize("value", [1, True, [], {}])
def test_a_member_that_is_no_string_is_refused(value: object) -> None:
    with pytest.raises(Invalid):
        arm.pick_text({"a": value}, "a")


@pytest.mark.parametrize("tags", ["x", [], {"a": 1}, {"a": None}, {str(n): "" for n in range(51)}])
def test_tags_are_few_and_short_strings(tags: object) -> None:
    with pytest.raises(Invalid):
        arm.read_tags({"tags": tags})


def test_tags_that_are_absent_or_null_say_nothing() -> None:
    assert arm.read_tags({}) is None
    assert arm.read_tags({"tags": None}) is None
    assert arm.read_tags({"Tags": {}}) == {}


def test_a_location_is_lower_case_without_blanks() -> None:
    assert arm.read_location({"location": "West US"}, "local") == "westus"
    assert arm.read_location({}, "local") == "local"
    with pytest.raises(Invalid):
        arm.read_location({"location": "a/b"}, "local")


@pytest.mark.parametrize(
    ("text", "scope"),
    [
        ("/", "/"),
        (f"/subscriptions/{SUB}/", f"/subscriptions/{SUB}"),
        (f"/subscriptions/{SUB.upper()}/resourceGroups/rg", None),
    ],
)
def test_a_scope_is_the_root_or_lies_in_the_subscription(text: str, scope: str | None) -> None:
    assert arm.read_scope(text, SUB) == (scope or text)


def test_a_scope_names_the_subscription_as_it_is_written() -> None:
    own = "c3cc0550-9aee-4e7c-9d5e-2ed0dad3880b"
    for loud in (f"/SUBSCRIPTIONS/{own.upper()}", f"/Subscriptions/{own.title()}/"):
        assert arm.read_scope(loud, own) == f"/subscriptions/{own}"
    found = arm.read_scope(f"/subscriptions/{own.upper()}/resourceGroups/RG", own)
    assert found == f"/subscriptions/{own}/resourceGroups/RG"


@pytest.mark.parametrize(
    "text", ["/subscriptions/other", "/x", f"/subscriptions/{SUB}x", f"/subscriptions/{SUB}//x"]
)
def test_another_scope_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        arm.read_scope(text, SUB)


def test_a_guid_is_lower_case() -> None:
    assert arm.read_guid(SUB.upper(), "role assignment") == SUB
    with pytest.raises(Invalid):
        arm.read_guid("x", "role assignment")
