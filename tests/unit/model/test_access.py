"""Roles and scopes as Azure reads them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.model.identities.access import (
    BUILT_IN,
    CONTRIBUTOR,
    LONG_TERM_RETENTION,
    OWNER,
    READER,
    RoleDefinition,
    allows,
    look_action_of,
    scope_contains,
)

SERVER = "Microsoft.DBforPostgreSQL/flexibleServers"
WORDS = st.lists(
    st.sampled_from(["a", "B", "read", "write", "*", "a.b", "x+"]), min_size=1, max_size=4
).map("/".join)


def test_a_reader_reads_everything_and_writes_nothing() -> None:
    assert allows(READER, f"{SERVER}/read")
    assert not allows(READER, f"{SERVER}/write")
    assert not allows(READER, f"{SERVER}/ltrPreBackup/action")


def test_a_contributor_may_do_all_but_give_roles() -> None:
    assert allows(CONTRIBUTOR, "Microsoft.DataProtection/backupVaults/write")
    assert not allows(CONTRIBUTOR, "microsoft.authorization/roleassignments/WRITE")
    assert allows(OWNER, "Microsoft.Authorization/roleAssignments/write")


def test_the_long_term_retention_role_backs_up_and_does_not_change_servers() -> None:
    assert allows(LONG_TERM_RETENTION, f"{SERVER}/startLtrBackup/action")
    assert not allows(LONG_TERM_RETENTION, f"{SERVER}/write")


def test_a_dot_in_a_pattern_is_a_dot() -> None:
    role = RoleDefinition("id", "name", ("Microsoft.Data/*",))
    assert not allows(role, "MicrosoftXData/read")


@pytest.mark.parametrize(
    ("scope", "resource", "contained"),
    [
        ("/", "/subscriptions/s", True),
        ("/subscriptions/s", "/subscriptions/s", True),
        ("/subscriptions/S/", "/subscriptions/s/resourceGroups/rg1", True),
        ("/subscriptions/s/resourceGroups/rg1", "/subscriptions/s/resourcegroups/RG1/x", True),
        ("/subscriptions/s/resourceGroups/rg1", "/subscriptions/s/resourceGroups/rg10", False),
        ("/subscriptions/s/resourceGroups/rg1", "/subscriptions/s", False),
        ("/subscriptions/s", "/", False),
    ],
)
def test_a_scope_counts_for_itself_and_below(scope: str, resource: str, contained: bool) -> None:
    assert scope_contains(scope, resource) is contained


@pytest.mark.parametrize(
    ("action", "look"),
    [
        ("A/vaults/write", "A/vaults/read"),
        ("A/vaults/delete", "A/vaults/read"),
        ("A/vaults/read", "A/vaults/read"),
        ("A/vaults/validateForBackup/action", "A/vaults/read"),
        ("A/vaults/instances/backup/action", "A/vaults/instances/read"),
    ],
)
def test_whoever_may_read_the_thing_is_told_403_and_others_404(action: str, look: str) -> None:
    assert look_action_of(action) == look


@given(pattern=WORDS, action=WORDS)
def test_patterns_match_as_a_slow_reader_would(pattern: str, action: str) -> None:
    def slow(rest: str, said: str) -> bool:
        if not rest:
            return not said
        if rest[0] == "*":
            return any(slow(rest[1:], said[n:]) for n in range(len(said) + 1))
        return bool(said) and rest[0] == said[0] and slow(rest[1:], said[1:])

    role = RoleDefinition("id", "name", (pattern,))
    assert allows(role, action) == slow(pattern.lower(), action.lower())


def test_every_role_has_the_form_of_a_guid() -> None:
    assert all(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", i) for i in BUILT_IN)
