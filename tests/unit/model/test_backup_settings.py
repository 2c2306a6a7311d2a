"""Settings of backups, read at the door."""

from typing import Any

import pytest

from strongroom.model.errors import Invalid
from strongroom.model.protection.backup_settings import (
    BackupSettings,
    read_rate,
    read_settings,
    settings_of,
)


def test_what_is_said_is_read_and_comes_back_from_the_catalogue() -> None:
    asked = {"bandwidth": 1 << 20, "CompressionLevel": 3, "parallelism": 2, "window": None}
    found = read_settings(asked)
    assert found == BackupSettings(bandwidth=1 << 20, compression_level=3, parallelism=2)
    assert settings_of({"strongroom": {"settings": found.to_dict()}}) == found
    assert settings_of({}) == read_settings({}) == BackupSettings()


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        ({"bandwith": 1}, "bandwith"),
        ({"bandwidth": -1}, "bandwidth"),
        ({"bandwidth": 1000}, "too little"),
        ({"bandwidth": "50MiB/s"}, "bandwidth"),
        ({"bandwidth": True}, "bandwidth"),
        ({"compressionLevel": 0}, "compressionLevel"),
        ({"compressionLevel": 20}, "compressionLevel"),
        ({"parallelism": 9}, "parallelism"),
        ({"window": 7}, "window"),
        ({"window": "22:00"}, "22:00"),
        ([], "object"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(asked: Any, word: str) -> None:
    with pytest.raises(Invalid, match=word) as refused:
        read_settings(asked)
    assert refused.value.hint


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("50MiB/s", 50 << 20),
        ("50M", 50 << 20),
        ("1.5 GiB/s", 3 << 29),
        ("8KB/s", 8000),
        ("100000", 100_000),
        ("none", 0),
    ],
)
def test_a_bandwidth_is_written_as_people_write_it(text: str, rate: int) -> None:
    assert read_rate(text) == rate


@pytest.mark.parametrize("text", ["", "fast", "-1M", "1Mbit/s", "1.55M", "MiB"])
def test_what_is_no_bandwidth_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        read_rate(text)
