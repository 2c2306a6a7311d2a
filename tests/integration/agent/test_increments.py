"""Increments of real servers, each restored: exactly the rows of its time, every page sound."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from increments import Chain, a_chain
from integration.servers import Server, open_directory, own, start_server
from strongroom.datastore.maps import page_parts

pytestmark = pytest.mark.postgres

CASES = [
    pytest.param((15, ("--data-checksums",), {}), id="15-checksums"),
    pytest.param((14, (), {}), id="14"),
    pytest.param((18, ("--data-checksums",), {"summarize_wal": "on"}), id="18-summaries"),
    pytest.param((18, ("--no-data-checksums",), {"summarize_wal": "off"}), id="18-page-versions"),
]


class Story:
    def __init__(self, chain: Chain, space: Path) -> None:
        self.chain, self.space = chain, space
        self.server = chain.server
        self.digests: list[dict[str, tuple[int, str]]] = []

    def back_up(self) -> None:
        self.chain.back_up()
        self.digests.append(self.server.digests())

    def bench(self, *words: str) -> None:
        program = self.server.tools.directory / "pgbench"
        place = ["-h", self.server.home, "-p", str(self.server.port), "-U", "postgres"]
        subprocess.run([program, *place, *words, "postgres"], check=True, capture_output=True)


def _fill(story: Story) -> None:
    story.bench("-i", "-q", "-s", "2")
    story.server.sql(
        f"create tablespace fast location '{story.space}'",
        "create table priced (id int primary key, price numeric) tablespace fast",
        "insert into priced select n, n * 1.5 from generate_series(1, 20000) n",
        "create table shrunk as select n, md5(n::text) from generate_series(1, 50000) n",
        "create table dropped as select n from generate_series(1, 5000) n",
        "create table emptied as select n from generate_series(1, 5000) n",
        "create unlogged table draft (id int)",
        "create extension amcheck",
    )


def _first(story: Story) -> None:
    story.bench("-t", "500", "-c", "2")
    story.server.sql(
        "delete from shrunk where n > 1000",
        "vacuum shrunk",
        "insert into emptied select n from generate_series(1, 9000) n",
        "update priced set price = price + 1 where id % 40 = 0",
    )


def _second(story: Story) -> None:
    story.server.sql(
        "vacuum full pgbench_accounts",
        "truncate emptied",
        "drop table dropped",
        "create table fresh as select n, md5(n::text) from generate_series(1, 30000) n",
        "create index on fresh (md5)",
        "alter table shrunk set tablespace fast",
        "create database other template postgres",
    )


def _third(story: Story) -> None:
    story.bench("-t", "300", "-c", "2")
    story.server.sql("reindex table priced", "vacuum freeze", "insert into emptied values (7)")


@pytest.fixture(scope="module", params=CASES)
def story(request) -> Iterator[Story]:
    """Of the first, page versions stand in the manifests; of the others in parts, as of a large
    server's."""
    major, options, settings = request.param
    with (
        pytest.MonkeyPatch.context() as patch,
        start_server(major, options=options, **settings) as server,
        a_chain(server) as chain,
        open_directory() as place,
    ):
        if request.param_index:  # all but the first
            patch.setattr(page_parts, "INLINE_BYTES", 0)
            patch.setattr(page_parts, "PART_BYTES", 20_000)
        space = place / "space"
        space.mkdir()
        story = Story(chain, own(space))
        _fill(story)
        story.back_up()
        for change in (_first, _second, _third):
            change(story)
            story.back_up()
        yield story


def check_sound(clone: Server) -> None:
    program = clone.tools.directory / "pg_amcheck"
    place = ["-h", clone.home, "-p", str(clone.port), "-U", "postgres"]
    done = subprocess.run(
        [program, *place, "--heapallindexed", "--all"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_first_is_full_and_all_others_are_increments(story):
    assert [told.kind for told in story.chain.results] == ["Full", *["Incremental"] * 3]
    assert not any(told.why_full for told in story.chain.results)


@pytest.mark.parametrize("number", range(4))
def test_each_point_holds_the_rows_of_its_time_and_is_sound(story, number):
    with story.chain.restored(number, story.space) as clone:
        assert clone.digests() == story.digests[number]
        check_sound(clone)


def test_page_versions_of_a_large_server_lie_in_parts(story, request):
    kinds = {
        (bool(manifest.page_versions), len(manifest.page_parts) > 1)
        for manifest in story.chain.manifests
    }
    name = request.node.callspec.id
    wanted = {"15-checksums": (True, False), "18-summaries": (False, False)}
    assert kinds == {wanted.get(name, (False, True))}


def test_an_increment_writes_a_part_of_what_there_is(story):
    _, first, *_ = story.chain.results
    assert first.read_bytes < first.raw_bytes / 2


def test_what_is_gone_is_in_no_later_point(story):
    older, newer = (
        {file.path for file in story.chain.manifests[number].files} for number in (1, 3)
    )
    assert older - newer
    assert newer - older
