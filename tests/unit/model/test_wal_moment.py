"""A moment as it is asked for: by Azure's time-based request, or by our own wish."""

import pytest
from whenever import Instant

from strongroom.cli.restore.moment_option import MomentOptions, iso_time, with_moment
from strongroom.model.errors import Invalid
from strongroom.model.restore.restore_request import read_request
from strongroom.model.wal_moment import Moment, read_moment

NOW = Instant.parse_iso("2026-11-26T22:00:00Z")


def a_request(**more: object) -> dict[str, object]:
    ours = {"targetDirectory": "/srv/restore", **more}
    return {"restoreTargetInfo": {"objectType": "RestoreTargetInfo", "strongroom": ours}}


def test_azures_time_based_request_names_a_time_and_no_point() -> None:
    asked = {
        **a_request(),
        "objectType": "AzureBackupRecoveryTimeBasedRestoreRequest",
        "recoveryPointTime": "2026-11-26T21:04:05.5000000+01:00",
    }
    found = read_request(asked, NOW)
    assert found.recovery_point_id == ""
    assert found.moment == Moment(kind="time", value="2026-11-26T20:04:05.5Z")


@pytest.mark.parametrize(
    ("wish", "kind"),
    [({"lsn": "16/b374d848"}, "lsn"), ({"xid": "731"}, "xid"), ({"name": "noon"}, "name")],
)
def test_a_wish_of_our_own_names_a_position_a_transaction_or_a_point(
    wish: dict[str, str], kind: str
) -> None:
    found = read_request(a_request(moment={**wish, "timeline": 3}), NOW)
    assert found.moment is not None
    assert (found.moment.kind, found.moment.timeline) == (kind, 3)


@pytest.mark.parametrize(
    "wish",
    [
        {"time": "2026-11-26T22:00:01Z"},
        {"time": "yesterday"},
        {"lsn": "here"},
        {"lsn": ["1/1"]},
        {"time": {"at": "noon"}},
        {"xid": "-1"},
        {"xid": "99999999999"},
        {"name": "a\nb"},
        {"name": "x" * 64},
        {"lsn": "1/1", "xid": "5"},
        {"lsn": "1/1", "timeline": -1},
        {"when": "noon"},
        {"name": "noon", "before": True},
        {"follow": "on", "before": True},
        {"lsn": "1/1", "before": "yes"},
    ],
)
def test_what_makes_no_sense_is_refused_at_the_door(wish: dict[str, object]) -> None:
    with pytest.raises(Invalid):
        read_moment(wish, None, NOW)


def test_what_comes_just_before_a_moment_can_be_asked_for() -> None:
    request = {"recoveryPointId": "", **a_request()}
    found = read_request(with_moment(request, MomentOptions(at_xid="731", before=True)), NOW)
    assert found.moment == Moment(kind="xid", value="731", before=True)
    assert str(found.moment) == "just before transaction 731"


def test_a_time_without_a_zone_is_utc_at_the_shell() -> None:
    assert iso_time("2026-11-26 21:04") == "2026-11-26T21:04:00Z"
    assert iso_time("2026-11-26T21:04:05.5+01") == "2026-11-26T21:04:05.5+01:00"
    assert iso_time("2026-11-26 21:04z") == "2026-11-26T21:04:00Z"
    assert iso_time("2026-11-26T21:04:05Z") == "2026-11-26T21:04:05Z"
    assert iso_time("yesterday") == "yesterday"  # and the API says that it is none
    assert iso_time("2026-11-26 21:04+0130") == "2026-11-26T21:04:00+01:30"
    for utc in ("2026-11-26 21:04:05 UTC", "2026-11-26 21:04:05 gmt", "2026-11-26T21:04:05"):
        assert iso_time(utc) == "2026-11-26T21:04:05Z"  # as our own lists and its log write them


def test_a_time_of_a_clock_somewhere_is_told_apart_where_clocks_were_changed() -> None:
    berlin = "Europe/Berlin"
    assert iso_time(f"2026-10-25 01:59:59.5 {berlin}") == "2026-10-24T23:59:59.5Z"
    assert iso_time(f"2026-10-25 03:00 {berlin}") == "2026-10-25T02:00:00Z"
    first = "2026-10-25T02:30:00+02:00"
    with pytest.raises(Invalid, match="was twice in Europe/Berlin") as twice:
        iso_time(f"2026-10-25 02:30 {berlin}")
    assert twice.value.hint == f"Write {first} or 2026-10-25T02:30:00+01:00."
    assert iso_time(f"{first}[{berlin}]") == first
    with pytest.raises(Invalid, match="never was"):
        iso_time(f"2026-03-29 02:30 {berlin}")
    with pytest.raises(Invalid, match="Europe/Nowhere is no name of a time zone"):
        iso_time("2026-10-25 03:00 Europe/Nowhere")
    for wrong in (f"25.10.2026 03:00 {berlin}", f"now {berlin}"):
        with pytest.raises(Invalid, match="is no time"):
            iso_time(wrong)
    request = {"recoveryPointId": "", **a_request()}
    asked = with_moment(request, MomentOptions(at="2026-11-26 21:04"))
    assert "recoveryPointId" not in asked
    assert read_request(asked, NOW).moment == Moment(kind="time", value="2026-11-26T21:04:00Z")
    with pytest.raises(Invalid):
        MomentOptions(at="2026-11-26 21:04", at_xid="5").wish()
