"""What `doctor` says of the log of a server whose every second is kept."""

import pytest

from strongroom.cli.installation.streams import troubles


@pytest.mark.parametrize(
    "stream",
    [
        None,
        {"state": "Starting", "gaps": 0},
        {"state": "Streaming", "why": "", "lagSeconds": 12.0, "gaps": 1},
    ],
)
def test_what_streams_or_is_not_asked_for_or_begins_is_no_trouble(stream):
    assert [*troubles("shop", stream)] == []


def test_a_log_that_waits_is_told_with_its_reason():
    waits = {"state": "Waiting", "why": "no route to host", "lagSeconds": 7.0, "gaps": 0}
    ((fact, fix),) = troubles("shop", waits)
    assert fact == "the log of shop is waiting: no route to host"
    assert "strongroom timeline shop" in fix


def test_a_log_that_is_far_behind_is_told_with_how_far():
    late = {"state": "Streaming", "why": "", "lagSeconds": 660.0, "gaps": 0}
    ((fact, _),) = troubles("shop", late)
    assert fact == "the log of shop is 11 minutes behind"
