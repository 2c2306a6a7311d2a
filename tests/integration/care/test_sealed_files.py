"""The signing keys lie sealed under the key-encryption key, and are rotated with it."""

import base64
from pathlib import Path

import pytest

from care_world import CareWorld
from seams import SystemChance
from strongroom.config import ServeFiles, new_token_key
from strongroom.model.errors import WrongKey
from strongroom.workflows.basis.kek import KeyEncryption, KeyFile
from strongroom.workflows.basis.sealed_files import RECEIPTS, TOKENS, SealedFiles
from strongroom.workflows.keys.rotation import begin_kek_rotation, forget_old_kek, seal_anew


def files_of(home: Path, kek: KeyEncryption) -> SealedFiles:
    return SealedFiles(home, kek)


def kek_of(home: Path) -> KeyEncryption:
    file = KeyFile(home / "kek.key")
    file.ensure(SystemChance())
    return KeyEncryption([file], SystemChance())


def test_what_lies_in_the_directory_signs_nothing_without_its_key(tmp_path: Path) -> None:
    sealed = files_of(tmp_path, kek_of(tmp_path))
    secret = sealed.signing_key(SystemChance())
    pem = sealed.keep(TOKENS, new_token_key)
    for name, content in ((RECEIPTS, base64.b64encode(secret)), (TOKENS, pem[30:90])):
        path = tmp_path / name
        assert path.stat().st_mode & 0o777 == 0o600
        assert content not in path.read_bytes()
    again = files_of(tmp_path, kek_of(tmp_path))
    assert again.signing_key(SystemChance()) == secret
    assert again.keep(TOKENS, new_token_key) == pem
    (tmp_path / "kek.key").unlink()
    with pytest.raises(WrongKey, match=RECEIPTS):
        files_of(tmp_path, kek_of(tmp_path)).signing_key(SystemChance())


def test_a_file_of_another_name_or_cut_off_does_not_open(tmp_path: Path) -> None:
    sealed = files_of(tmp_path, kek_of(tmp_path))
    sealed.signing_key(SystemChance())
    content = (tmp_path / RECEIPTS).read_bytes()
    for name, other in ((TOKENS, content), (RECEIPTS, content[:-9])):
        (tmp_path / name).write_bytes(other)
        with pytest.raises(WrongKey, match=name):
            files_of(tmp_path, kek_of(tmp_path)).keep(name, new_token_key)


def test_what_was_put_back_in_the_open_is_sealed_and_told_as_it_was(tmp_path: Path) -> None:
    plain = base64.b64encode(bytes(range(32))) + b"\n"
    files = ServeFiles(tmp_path)
    files.put_back({RECEIPTS: plain})
    sealed = files_of(tmp_path, kek_of(tmp_path))
    assert sealed.signing_key(SystemChance()) == bytes(range(32))
    assert plain.strip() not in (tmp_path / RECEIPTS).read_bytes()
    assert sealed.opened(files.own) == {RECEIPTS: plain}


def test_a_rotation_seals_them_anew_and_ends_only_then(world: CareWorld, tmp_path: Path) -> None:
    keyring = world.means.keyring
    keyring.files = files_of(tmp_path, keyring.kek)
    secret = keyring.files.signing_key(SystemChance())
    before = (tmp_path / RECEIPTS).read_bytes()
    begin_kek_rotation(world.means)
    assert keyring.files.stale() == [RECEIPTS]
    seal_anew(world.means)
    assert keyring.files.stale() == []
    (tmp_path / RECEIPTS).write_bytes(before)  # put back by a hand that knew no better
    forget_old_kek(world.means)
    assert (tmp_path / RECEIPTS).read_bytes() != before
    assert len(world.kek_file.keys()) == 1
    fresh = files_of(tmp_path, KeyEncryption([world.kek_file], SystemChance()))
    assert fresh.signing_key(SystemChance()) == secret
