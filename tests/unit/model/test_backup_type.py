"""What kind of backup is asked for, and what a server allows."""

from typing import Any

import pytest

from strongroom.model.errors import (
    Invalid,
    SourceError,
    SourceRefused,
    SourceUnreachable,
    SourceUnsupported,
)
from strongroom.model.protection.backup_type import allows, read_backup_type, why_logical
from strongroom.model.protection.policy import parse_policy
from strongroom.model.protection.policy_templates import ten_years_policy
from strongroom.model.work.operation import ServerFacts
from strongroom.postgres.server.refusals import Attempt, no_role, no_wal_sender, refused_connection

READY = ServerFacts(name="orders", ready=True, dumpable=True)
DOWN = SourceUnreachable("nothing listens")
BUSY = no_wal_sender()
HBA = 'FATAL:  no pg_hba.conf entry for replication connection from host "10.0.0.1", user "b"'
DENIALS = [
    no_role("backup"),
    SourceUnsupported("the server's block size is 4096"),
    refused_connection(HBA, Attempt("b", "", "db1:5432", replicating=True)),
]


def lacking(*errors: SourceError, dumpable: bool = True) -> ServerFacts:
    problems = [error.to_dict() for error in errors]
    return ServerFacts(name="orders", ready=False, dumpable=dumpable, problems=problems)


@pytest.mark.parametrize("denial", DENIALS)
def test_full_is_a_dump_where_the_server_allows_no_more_and_physical_is_refused(
    denial: SourceError,
) -> None:
    facts = lacking(BUSY, denial)
    assert why_logical(facts.problems) == denial.message
    assert [allows(facts, kind) for kind in ("Full", "Physical", "Logical")] == [True, False, True]


@pytest.mark.parametrize("facts", [lacking(BUSY), lacking(DOWN, dumpable=False)])
def test_what_passes_turns_no_full_backup_into_a_dump(facts: ServerFacts) -> None:
    assert not why_logical(facts.problems)
    assert not allows(facts, "Full")
    assert not allows(facts, "Physical")


def test_a_server_that_cannot_be_reached_is_not_dumped_either() -> None:
    assert not allows(lacking(no_role("backup"), DOWN, dumpable=False), "Full")
    assert not allows(lacking(SourceRefused("no password"), dumpable=False), "Logical")


def test_every_kind_is_allowed_on_a_server_that_is_ready() -> None:
    assert all(allows(READY, kind) for kind in ("Full", "Physical", "Logical"))


def test_incremental_is_refused_with_the_word_that_every_point_stores_what_has_changed() -> None:
    with pytest.raises(Invalid) as refused:
        read_backup_type("Incremental")
    assert "stores only what has changed" in refused.value.hint
    assert read_backup_type("logical") == "Logical"


def policy_of(*kinds: str) -> dict[str, Any]:
    body = ten_years_policy()
    rule = body["policyRules"].pop(0)
    rules = [
        {**rule, "name": f"Rule{n}", "backupParameters": {"backupType": kind}}
        for n, kind in enumerate(kinds)
    ]
    return {**body, "policyRules": [*rules, *body["policyRules"]]}


@pytest.mark.parametrize(
    ("kinds", "most"),
    [
        (["Logical"], "Logical"),
        (["Logical", "Full"], "Full"),
        (["Full", "Physical", "Logical"], "Physical"),
    ],
)
def test_a_policy_asks_of_a_server_what_the_most_demanding_of_its_rules_asks(
    kinds: list[str], most: str
) -> None:
    assert parse_policy(policy_of(*kinds)).backup_type == most
