import pytest

from strongroom.agent.restore.data_directory import Grounds
from strongroom.agent.restore.journal import RestoreJournal
from strongroom.model.errors import TargetRefused
from strongroom.model.work.operation import RestoreResult


def grounds(tmp_path, *roots) -> Grounds:
    return Grounds(tuple(roots), RestoreJournal(tmp_path / "restores"))


def test_without_a_list_any_absolute_place_is_allowed(tmp_path):
    place = tmp_path / "new"
    assert grounds(tmp_path).allow(str(place)) == place


@pytest.mark.parametrize("place", ["relative/place", "", "/tmp/../etc", "/tmp/a\0b"])
def test_a_place_that_is_not_plain_is_refused(tmp_path, place):
    with pytest.raises(TargetRefused):
        grounds(tmp_path).allow(place)


def test_beneath_a_listed_root_is_allowed(tmp_path):
    place = tmp_path / "restores" / "deep" / "er"
    assert grounds(tmp_path, tmp_path / "restores").allow(str(place)) == place


def test_outside_every_listed_root_is_refused_and_the_roots_are_named(tmp_path):
    (tmp_path / "a-b").mkdir()
    with pytest.raises(TargetRefused) as caught:
        grounds(tmp_path, tmp_path / "a").allow(str(tmp_path / "a-b"))
    assert str(tmp_path / "a") in caught.value.hint


def test_a_link_does_not_lead_out_of_a_listed_root(tmp_path):
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "way-out").symlink_to(outside)
    with pytest.raises(TargetRefused):
        grounds(tmp_path, root).allow(str(root / "way-out" / "data"))


def a_result(directory) -> RestoreResult:
    return RestoreResult(directory=str(directory), files=1, written_bytes=2, fetched_bytes=3)


def test_a_finished_restore_is_remembered_while_its_directory_stands(tmp_path):
    journal = RestoreJournal(tmp_path / "restores")
    target = tmp_path / "data"
    target.mkdir()
    (target / "PG_VERSION").write_text("15")
    journal.keep("op-1", a_result(target))
    assert journal.find("op-1") == a_result(target)
    (target / "PG_VERSION").unlink()
    assert journal.find("op-1") is None


def test_an_operations_id_never_names_a_file(tmp_path):
    journal = RestoreJournal(tmp_path / "restores")
    journal.keep("../../etc/passwd", a_result(tmp_path))
    assert len(list((tmp_path / "restores").iterdir())) == 1


def test_only_the_newest_are_kept(tmp_path):
    journal = RestoreJournal(tmp_path / "restores")
    for number in range(60):
        journal.keep(f"op-{number}", a_result(tmp_path))
    assert len(list((tmp_path / "restores").glob("*.json"))) == 50
