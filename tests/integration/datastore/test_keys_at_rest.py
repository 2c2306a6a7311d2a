"""The recovery key as a file, and public keys that are none."""

import stat
from pathlib import Path

import pytest

from strongroom.datastore.keys.keys import read_recovery_key, write_recovery_key
from strongroom.datastore.packs.seal import PublicKey, seal
from strongroom.model.errors import Invalid, NotFound
from worlds import World


def test_a_recovery_key_is_written_once_for_its_owner_alone(tmp_path: Path) -> None:
    path, key = tmp_path / "recovery.key", World().keys.recovery
    write_recovery_key(path, key)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_recovery_key(path).to_text() == key.to_text()
    with pytest.raises(FileExistsError):
        write_recovery_key(path, World(1).keys.recovery)
    assert read_recovery_key(path).to_text() == key.to_text()


def test_a_key_that_is_not_there_and_one_that_is_none_are_told(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="No such file"):
        read_recovery_key(tmp_path / "none")
    for content in (b"", b"\xff" * 100_000, b"strongroom recovery key 2\nsecret x\nverify y\n"):
        (tmp_path / "bad").write_bytes(content)
        with pytest.raises(Invalid, match="recovery key"):
            read_recovery_key(tmp_path / "bad")


@pytest.mark.parametrize("byte", [0x00, 0xFF])
def test_nothing_is_sealed_to_bytes_that_are_no_public_key(byte: int) -> None:
    with pytest.raises(Invalid, match="public key"):
        seal(PublicKey.from_bytes(bytes([byte]) * 1216), b"", b"secret")
