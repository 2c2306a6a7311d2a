"""What PostgreSQL hears from our restore_command: never the end of the log where there is none."""

import subprocess
import threading
from pathlib import Path

import msgspec
import pytest

from strongroom.model.wal import IMMEDIATE, Recovery
from strongroom.postgres.restore.wal_recovery import LogPlace, segments_of, settings_of

SIZE = 16 << 20
START = 5 * SIZE
FIRST, LAST = "000000010000000000000005", "000000010000000000000006"


def a_recovery(kind: str = "time", value: str = "2026-11-26T21:04:05+00") -> Recovery:
    return Recovery(
        kind=kind,
        value=value,
        system="7",
        timeline=2,
        segment_size=SIZE,
        timelines=[(1, START, START + SIZE + 100), (2, START + SIZE, START + 2 * SIZE)],
        histories={"2": "1\t0/5000100\tno recovery target specified\n"},
    )


@pytest.fixture
def place(tmp_path: Path) -> LogPlace:
    (tmp_path / "PG_VERSION").write_text("15\n")
    found = LogPlace(tmp_path)
    found.lay(a_recovery())
    return found


def get(place: LogPlace, name: str) -> int:
    told = settings_of(a_recovery(), 15)["restore_command"]
    words = told.replace("%f", name).replace("%p", "pg_wal_RECOVERYXLOG")
    done = subprocess.run(
        ["sh", "-c", words],
        cwd=place.directory.parent,
        timeout=60,
        check=False,
        env={"PATH": "/usr/bin:/bin"},
    )
    return done.returncode


def test_segments_are_named_on_the_timelines_that_they_are_read_from() -> None:
    assert segments_of(a_recovery()) == [FIRST, LAST, "000000020000000000000006"]


def test_what_the_plan_does_not_name_does_not_exist(place: LogPlace) -> None:
    for name in ("000000010000000000000004", "000000020000000000000007", "00000003.history"):
        assert get(place, name) == 1


def test_timelines_that_others_have_are_taken_and_no_more_than_that(place: LogPlace) -> None:
    place.lay(msgspec.structs.replace(a_recovery(), begins=17))
    assert [get(place, f"{number:08X}.history") for number in (3, 9, 10, 16)] == [0] * 4
    assert [get(place, f"{number:08X}.history") for number in (1, 17, 18)] == [1] * 3
    assert get(place, "00000003000000000000000F") == 1


def test_what_was_not_synced_is_worth_nothing_once_the_machine_has_gone_down(
    tmp_path: Path,
) -> None:
    (tmp_path / "PG_VERSION").write_text("15\n")
    place = LogPlace(tmp_path, lasting=False)
    place.lay(a_recovery())
    place.put(FIRST, b"log")
    assert [get(place, FIRST), get(place, "00000003.history")] == [0, 1]
    script, boot = place.directory / "get", Path("/proc/sys/kernel/random/boot_id").read_text()
    script.write_text(script.read_text().replace(boot.strip(), "of another start"))
    assert [get(place, FIRST), get(place, "00000003.history")] == [255, 255]


def test_what_is_there_is_delivered_and_a_history_is_there_at_once(place: LogPlace) -> None:
    place.put(FIRST, b"log" * 1000)
    assert get(place, FIRST) == 0
    target = place.directory.parent / "pg_wal_RECOVERYXLOG"
    assert target.read_bytes() == b"log" * 1000
    assert get(place, "00000002.history") == 0
    assert "no recovery target" in target.read_text()
    assert get(place, FIRST) == 0  # asked for again, it is what it was
    assert target.read_bytes() == b"log" * 1000


def test_a_segment_that_comes_later_is_waited_for(place: LogPlace) -> None:
    waiting = threading.Thread(target=lambda: found.append(get(place, FIRST)))
    found: list[int] = []
    waiting.start()
    place.put(FIRST, b"late")
    waiting.join()
    assert found == [0]


@pytest.mark.parametrize("word", ["failed", "complete"])
def test_a_hole_and_an_outage_stop_recovery(place: LogPlace, word: str) -> None:
    place.end(word)
    assert get(place, LAST) == 255


def test_a_place_that_is_damaged_stops_recovery(place: LogPlace) -> None:
    (place.directory / "list").unlink()
    assert get(place, FIRST) == 255
    place.remove()
    assert get(place, FIRST) == 255  # there is not even a script: sh itself would say 2


def test_a_target_that_cannot_be_written_stops_recovery(place: LogPlace) -> None:
    place.put(FIRST, b"log")
    (place.directory.parent / "pg_wal_RECOVERYXLOG").mkdir()
    (place.directory.parent / "pg_wal_RECOVERYXLOG" / FIRST).mkdir()
    assert get(place, FIRST) == 255


def test_old_segments_are_let_go_and_those_ahead_are_counted(place: LogPlace) -> None:
    names = [f"0000000100000000000000{n:02X}" for n in range(5, 12)]
    (place.directory / "list").write_text("".join(f"{name}\n" for name in names))
    for name in names:
        place.put(name, b"log")
    assert place.ahead() == 7
    assert get(place, names[4]) == 0
    assert place.ahead() == 3
    left = sorted(each.name for each in place.directory.iterdir() if len(each.name) == 24)
    assert left == names[2:]


def test_settings_end_recovery_at_the_moment_and_quote_what_people_name(tmp_path: Path) -> None:
    told = settings_of(a_recovery("name", "it's noon"), 14)
    assert told["recovery_target_name"] == "it's noon"
    assert told["recovery_target_timeline"] == "2"
    assert told["recovery_target_time"] == told["recovery_target"] == ""
    assert "archive_library" not in told  # which 14 does not know
    (tmp_path / "PG_VERSION").write_text("15\n")
    LogPlace(tmp_path).lay(a_recovery("name", "it's noon"))
    text = (tmp_path / "strongroom_wal" / "settings.conf").read_text()
    assert "recovery_target_name = 'it''s noon'\n" in text
    assert (tmp_path / "recovery.signal").exists()
    assert (tmp_path / "postgresql.auto.conf").read_text().count("strongroom_wal") == 1


def test_what_is_named_is_left_out_when_just_before_it_is_meant() -> None:
    recovery = a_recovery("xid", "731")
    assert settings_of(recovery, 15)["recovery_target_inclusive"] == "on"
    recovery.inclusive = False
    assert settings_of(recovery, 15)["recovery_target_inclusive"] == "off"


def test_a_point_itself_is_recovered_to_its_own_end_and_onto_a_timeline_of_its_own() -> None:
    settings = settings_of(a_recovery(IMMEDIATE, IMMEDIATE), 15)
    assert settings["recovery_target_timeline"] == "current"
    targets = [settings[f"recovery_target{end}"] for end in ("", "_time", "_lsn", "_xid", "_name")]
    assert targets == [""] * 5, "a target that log ends at is never reached"
    assert "recovery_target_action" not in settings
