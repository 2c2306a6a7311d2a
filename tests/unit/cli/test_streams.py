"""What `doctor` says of the log of a server whose every second is kept."""

import pytest
from whenever import Instant

from strongroom.cli.installation.streams import troubles

NOW = Instant.parse_iso("2026-01-01T00:05:00Z")


@pytest.mark.parametrize(
    "stream",
    [
        None,
        {"state": "Starting", "gaps": 0},
        {"state": "Starting", "gaps": 0, "askedAt": "2026-01-01T00:01:00Z"},
        {"state": "Streaming", "why": "", "lagSeconds": 12.0, "gaps": 1},
    ],
)
def test_what_streams_or_is_not_asked_for_or_begins_is_no_trouble(stream):
    assert [*troubles("shop", stream, NOW)] == []


def test_a_log_that_waits_is_told_with_its_reason():
    waits = {"state": "Waiting", "why": "no route to host", "lagSeconds": 7.0, "gaps": 0}
    ((fact, fix),) = troubles("shop", waits, NOW)
    assert fact == "the log of shop is waiting: no route to host"
    assert "strongroom timeline shop" in fix


def test_a_log_that_is_far_behind_is_told_with_how_far():
    late = {"state": "Streaming", "why": "", "lagSeconds": 660.0, "gaps": 0}
    ((fact, _),) = troubles("shop", late, NOW)
    assert fact == "the log of shop is 11 minutes behind"


def test_a_log_of_which_nothing_comes_is_told_with_how_long():
    asked = {"state": "Starting", "gaps": 0, "askedAt": "2025-12-31T23:45:00Z"}
    ((fact, fix),) = troubles("shop", asked, NOW)
    assert fact == "the log of shop was asked for 20 minutes ago, and none has come"
    assert "strongroom server check shop" in fix
