"""Where somebody holds a role, in words; and what a sentence begins with."""

import pytest

from strongroom.web.portal.words import sentence, to_the_second, where

HOME = "/subscriptions/11111111-2222-3333-4444-555555555555"
VAULT = f"{HOME}/resourceGroups/dba/providers/Microsoft.DataProtection/backupVaults/v1"
SERVER = f"{HOME}/resourceGroups/dba/providers/Microsoft.DBforPostgreSQL/flexibleServers/pg1"


@pytest.mark.parametrize(
    ("scope", "words"),
    [
        ("/", "everything"),
        (HOME, "everything"),
        (f"{HOME}/resourceGroups/dba", "group dba"),
        (VAULT, "vault v1 in dba"),
        (f"{VAULT}/backupInstances/shop", "instance shop of vault v1 in dba"),
        (SERVER, "server pg1 in dba"),
    ],
)
def test_a_scope_is_told_in_words(scope: str, words: str) -> None:
    assert where(scope) == words


def test_a_setting_at_the_head_of_a_sentence_is_written_as_it_is() -> None:
    assert sentence("wal_level is minimal") == "wal_level is minimal."
    assert sentence("the server is away") == "The server is away."
    assert sentence(" ") == ""


def test_a_moment_is_told_to_the_second_in_the_zone_of_who_reads() -> None:
    assert to_the_second("2026-11-22T13:05:07.9Z", "Europe/Berlin") == ("22 Nov 2026, 14:05:07")
