"""P5: an increment is the truth: byte for byte what PostgreSQL's own program makes of it."""

from contextlib import ExitStack

import pytest

from changes import CHANGES, fill, restored
from combined import RawBackups
from increments import a_chain
from integration.servers import open_directory, own, some, start_server
from strongroom.datastore.maps.extents import Extents
from strongroom.datastore.maps.manifest import Manifest
from trees import differences

pytestmark = [pytest.mark.postgres, pytest.mark.P5]


@pytest.mark.parametrize("major", some(17, of=(17, 18)))
def test_ours_is_what_pg_combinebackup_makes_of_the_same_increments(major, monkeypatch):
    with ExitStack() as stack:
        server = stack.enter_context(start_server(major, summarize_wal="on", autovacuum="off"))
        chain = stack.enter_context(a_chain(server))
        place = stack.enter_context(open_directory())
        space = place / "space"
        space.mkdir()
        fill(server, own(space))
        raw = RawBackups(place / "raw")
        raw.back_up(chain, monkeypatch)
        for change in CHANGES:
            change(server)
            raw.back_up(chain, monkeypatch)
        assert [told.kind for told in chain.results] == ["Full", *["Incremental"] * len(CHANGES)]
        assert not chain.manifests[-1].page_versions, "the server's summaries told what changed"
        for number in range(len(CHANGES) + 1):
            ours = restored(chain, number, place, space)
            assert differences(ours, raw.combined(chain, number)) == {}


def packs_of_maps(manifest: Manifest) -> set[bytes]:
    """Those in which visibility maps lie."""
    maps = {n for n, file in enumerate(manifest.files) if file.path.endswith("_vm")}
    found = {
        manifest.packs[extent.pack].id
        for extent in Extents.of_columns(manifest.extents)
        if extent.file in maps
    }
    assert found
    return found


@pytest.mark.parametrize("major", some(18, of=(17, 18)))
def test_the_disk_gives_by_summaries_what_the_stream_gives(major):
    with ExitStack() as stack:
        server = stack.enter_context(start_server(major, summarize_wal="on", autovacuum="off"))
        streamed, read = (stack.enter_context(a_chain(server)) for _ in range(2))
        place = stack.enter_context(open_directory())
        space = place / "space"
        space.mkdir()
        fill(server, own(space))
        for change in (lambda _: None, *CHANGES):
            change(server)
            streamed.back_up(source="stream")
            read.back_up(source="disk")
        assert [told.kind for told in read.results] == ["Full", *["Incremental"] * len(CHANGES)]
        assert not read.manifests[-1].page_versions, "the summaries told what changed"
        assert read.results[3].read_bytes < streamed.results[3].read_bytes * 1.01, (
            "only the few rows came"
        )
        for chain in (streamed, read):
            older, newer = ({pack.id for pack in each.packs} for each in chain.manifests[-2:])
            assert packs_of_maps(chain.manifests[-1]) <= newer - older, "logs forget to name them"
        trees = []
        for name, chain in (("streamed", streamed), ("read", read)):
            (place / name).mkdir()
            trees.append(restored(chain, len(CHANGES), place / name, space))
        # Each backup begins with a checkpoint of its own.
        assert set(differences(*trees)) <= {"backup_label", "global/pg_control"}
