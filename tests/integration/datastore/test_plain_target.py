"""A rescue writes beneath its target, all of it or nothing that starts."""

import stat
from pathlib import Path

import pytest

from faults import FaultyBlobs
from strongroom.datastore.maps.manifest import FileFacts
from strongroom.datastore.rescue.plain_target import PlainTarget
from strongroom.datastore.rescue.rescue import next_steps, rescue
from strongroom.model.errors import TargetNotEmpty, TargetRefused, VaultError
from worlds import World, micro_world, noise, point_id, small_tree, tree_of

POINT = point_id(1)


def facts(path: str, size: int = 0, kind: str = "other", link: str = "", mode: int = 0o600):
    return FileFacts(path=path, size=size, mode=mode, mtime=0, kind=kind, link=link)


def a_world(files: list[tuple[FileFacts, bytes]]) -> World:
    world = World(5)
    world.lay_ground()
    writer = world.writer(POINT)
    stream = writer.stream()
    for told, content in files:
        stream.begin_file(told)
        stream.write(content)
        stream.end_file()
    stream.close()
    world.commit(writer.finish(), POINT)
    return world


def with_a_tablespace() -> World:
    table, settings = noise(1, 8192), b"shared_buffers = '1GB'\n"
    return a_world(
        [
            (facts("PG_VERSION", 3), b"18\n"),
            (facts("global/pg_control", 8192), noise(2, 8192)),
            (facts("pg_tblspc", kind="directory"), b""),
            (facts("pg_tblspc/777", kind="link", link="/fast/disk"), b""),
            (facts("pg_tblspc/777/PG_18_1/5", kind="directory"), b""),
            (facts("pg_tblspc/777/PG_18_1/5/9", 8192, "main"), table),
            (facts("tablespace_map", 15), b"777 /fast/disk\n"),
            (facts("standby.signal", 0), b""),
            (facts("postgresql.auto.conf", len(settings)), settings),
            (facts("base/5/sparse", 1 << 20, "main"), bytes(1 << 20)),
        ]
    )


def test_a_tablespace_goes_beside_the_target_unless_it_is_sent_elsewhere(tmp_path: Path) -> None:
    world = with_a_tablespace()
    rescue(world.blobs, world.keys.recovery, POINT, tmp_path / "one")
    assert (tmp_path / "one/pg_tblspc/777").readlink() == tmp_path / "one.tablespaces/777"
    assert (tmp_path / "one.tablespaces/777/PG_18_1/5/9").read_bytes() == noise(1, 8192)
    elsewhere = {"/fast/disk": tmp_path / "moved"}
    manifest = rescue(
        world.blobs, world.keys.recovery, POINT, tmp_path / "two", tablespaces=elsewhere
    )
    assert (tmp_path / "two/pg_tblspc/777/PG_18_1/5/9").read_bytes() == noise(1, 8192)
    assert (tmp_path / "two/pg_tblspc/777").readlink() == tmp_path / "moved"
    assert "version 18" in "\n".join(next_steps(manifest, tmp_path / "two"))


def test_what_would_make_it_another_servers_is_left_out(tmp_path: Path) -> None:
    world = with_a_tablespace()
    rescue(world.blobs, world.keys.recovery, POINT, tmp_path / "t")
    names = {path.name for path in (tmp_path / "t").iterdir()}
    assert not names & {"tablespace_map", "standby.signal"}
    settings = (tmp_path / "t/postgresql.auto.conf").read_text()
    assert settings.startswith("shared_buffers = '1GB'\n")
    assert settings.endswith("archive_mode = 'off'\n")


def test_modes_are_private_and_zeros_take_no_room(tmp_path: Path) -> None:
    world = with_a_tablespace()
    rescue(world.blobs, world.keys.recovery, POINT, tmp_path / "t")
    assert stat.S_IMODE((tmp_path / "t").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "t/PG_VERSION").stat().st_mode) == 0o600
    sparse = (tmp_path / "t/base/5/sparse").stat()
    assert (sparse.st_size, sparse.st_blocks) == (1 << 20, 0)


def test_a_cluster_that_its_group_may_read_stays_one(tmp_path: Path) -> None:
    world = a_world([(facts("PG_VERSION", 3, mode=0o640), b"18\n")])
    rescue(world.blobs, world.keys.recovery, POINT, tmp_path / "t")
    assert stat.S_IMODE((tmp_path / "t").stat().st_mode) == 0o750
    assert stat.S_IMODE((tmp_path / "t/PG_VERSION").stat().st_mode) == 0o640


def test_a_rescue_that_fails_anywhere_leaves_nothing_that_starts(tmp_path: Path) -> None:
    world = micro_world()
    counting = FaultyBlobs(world.blobs)
    rescue(counting, world.keys.recovery, POINT, tmp_path / "whole")
    for call in range(len(counting.calls)):
        target = tmp_path / f"t{call}"
        with pytest.raises(VaultError):
            rescue(FaultyBlobs(world.blobs, {call: "before"}), world.keys.recovery, POINT, target)
        assert not (target / "global/pg_control").exists()
    assert tree_of(tmp_path / "whole") == small_tree()


@pytest.mark.parametrize(
    "hostile",
    [
        facts("/etc/passwd"),
        facts("../up"),
        facts("a/../../up"),
        facts("a//b"),
        facts("a\0b"),
        facts("pg_tblspc/../x", kind="link", link="/x"),
        facts("base", kind="link", link="/x"),
        facts("pg_tblspc/x1", kind="link", link="/x"),
    ],
)
def test_a_path_that_leads_elsewhere_is_refused_before_anything_is_made(
    tmp_path: Path, hostile: FileFacts
) -> None:
    with pytest.raises(TargetRefused):
        PlainTarget(tmp_path / "t", [hostile], {})
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_not_empty_is_left_alone(tmp_path: Path) -> None:
    world = with_a_tablespace()
    (tmp_path / "moved").mkdir()
    (tmp_path / "moved/precious").write_text("stays")
    for directory, moved in ((tmp_path / "moved", "x"), (tmp_path / "t", "moved")):
        with pytest.raises(TargetNotEmpty):
            rescue(
                world.blobs,
                world.keys.recovery,
                POINT,
                directory,
                tablespaces={"/fast/disk": tmp_path / moved},
            )
    assert tree_of(tmp_path / "moved") == {"precious": b"stays"}


def test_places_within_one_another_and_unknown_tablespaces_are_refused(tmp_path: Path) -> None:
    world = with_a_tablespace()
    for tablespaces in ({"/fast/disk": tmp_path / "t/in"}, {"/slow": tmp_path / "x"}):
        with pytest.raises(TargetRefused):
            rescue(
                world.blobs,
                world.keys.recovery,
                POINT,
                tmp_path / "t",
                tablespaces=tablespaces,
            )
    assert list(tmp_path.iterdir()) == []
