"""The log of a server as a terminal shows it."""

import pytest

from strongroom.cli.restore.timeline import show

STREAM = {"state": "Streaming", "slot": "Temporary", "why": "", "lagSeconds": 3.2, "timeline": 2,
          "storedBytes": 1 << 20}  # fmt: skip
AT = "2026-11-28T00:48:07.250Z"
FOUND = {
    "stream": STREAM,
    "ranges": [("2026-11-28T00:25:04.774298Z", "2026-11-28T00:55:19.9Z")],
    "gaps": [],
    "names": [{"name": "noon", "at": AT, "timeline": 1}],
    "minutes": [],
    "losses": [],
}


def shown(capsys: pytest.CaptureFixture[str], around: str = "", **more: object) -> str:
    show("orders", {**FOUND, **more}, around, 30)
    return capsys.readouterr().out


def test_the_seconds_that_are_named_can_be_restored(capsys: pytest.CaptureFixture[str]) -> None:
    told = shown(capsys)
    assert "any second from 2026-11-28 00:25:05 to 2026-11-28 00:55:19 UTC" in told
    assert f"{AT}  restore point noon" in told
    whole = [("2026-11-28T00:25:04Z", "2026-11-28T00:55:19Z")]
    assert "from 2026-11-28 00:25:04 to" in shown(capsys, ranges=whole)
    at_once = [("2026-11-28T00:25:04.774298Z", "2026-11-28T00:25:04.774298Z")]
    told = shown(capsys, ranges=at_once)
    assert "  the recovery point of 2026-11-28 00:25:04 UTC: nothing was committed since" in told
    assert "no second can be restored yet" in shown(capsys, ranges=[])
    assert "its agent has sent none yet" in shown(capsys, stream={"state": "Starting"})


def test_a_gap_has_the_bounds_that_are_known(capsys: pytest.CaptureFixture[str]) -> None:
    gap = {"timeline": 3, "start": 16 << 20, "end": 0, "foundAt": AT, "why": "lost"}
    gaps = [gap, {**gap, "end": 32 << 20}, {**gap, "end": 16 << 20}]
    lines = [line for line in shown(capsys, gaps=gaps).splitlines() if "a gap" in line]
    assert [line.partition(" of timeline 3, found")[0].strip() for line in lines] == [
        "a gap from 0/1000000 on",
        "a gap from 0/1000000 to 0/2000000",
        "a gap at 0/1000000",
    ]


def test_what_was_asked_is_told_and_nothing_is_said_to_be_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = shown(capsys, AT)
    assert f"around {AT}, 30 minutes before and after:\n  nothing was committed" in told
    minutes = [("2026-11-28T00:48:00Z", 7)]
    told = shown(capsys, AT, minutes=minutes)
    assert "  2026-11-28 00:48:00 UTC         7 commits  ####" in told
