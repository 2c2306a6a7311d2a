"""A drill tells a point that restores from one that does not: never green for the one, nor red
for the other, whatever this host lacks.
"""

import hashlib
import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from drills import Drills, drills, true
from increments import Chain, Client, a_chain
from integration.servers import Server, open_directory, start_server
from logical import Dumps, dumps
from seams import SystemChance
from strongroom.agent.proof import drill_server
from strongroom.agent.proof.drill_server import Made, physical_server
from strongroom.agent.restore.journal import RestoreJournal
from strongroom.agent.restore.point_keys import PointKeys
from strongroom.agent.scratch.part import Part, remove_scratch
from strongroom.datastore.places.blobs import MemoryBlobs
from strongroom.model.errors import Cancelled, TargetError, ToolsMissing
from strongroom.model.work.drill import HOST_NETWORK, NO_NETWORK, Answer, DrillResult
from strongroom.model.work.extract import ExtractOrder
from strongroom.postgres.part import trial
from strongroom.postgres.part.scratch_server import ScratchServer
from strongroom.postgres.server import scratch
from strongroom.postgres.server.no_network import network_of

pytestmark = [pytest.mark.postgres, pytest.mark.P9]
ROWS = 5000
# As the catalogues of a server look that has an extension which this host lacks.
EXTENSION_THAT_IS_NOT_HERE = (
    "create extension citext",
    "create table place (name citext primary key)",
    "insert into place values ('Brno')",
    "set allow_system_table_mods = on; update pg_proc set probin = '$libdir/not_here' "
    "where probin = '$libdir/citext'; update pg_extension set extname = 'not_here' "
    "where extname = 'citext'",
)


@pytest.fixture(scope="module")
def space() -> Iterator[Path]:
    """Of the source: a drill must not touch it."""
    with open_directory() as place:
        yield place


@pytest.fixture(scope="module")
def server(space: Path) -> Iterator[Server]:
    with start_server(15) as found:
        found.sql(
            f"create tablespace far location '{space}'",
            "create extension citext",
            f"create table t as select g, md5(g::text) from generate_series(1, {ROWS}) g",
            "create index by_md5 on t (md5)",
            "create table elsewhere (id int primary key, word citext) tablespace far",
            "insert into elsewhere select g, g::text from generate_series(1, 100) g",
            "create index words on elsewhere (word)",
            "create database shop",
            "create database maps",
        )
        found.sql("create table sold as select 1 as one", database="shop")
        found.sql(*EXTENSION_THAT_IS_NOT_HERE, database="maps")
        # Read at its next start, which never comes: only the point has it.
        found.configure(shared_preload_libraries="not_here", archive_mode="on")
        yield found


@pytest.fixture(scope="module")
def chain(server: Server) -> Iterator[Chain]:
    """A full point, and an increment on it."""
    with a_chain(server) as found:
        found.back_up()
        server.sql("update t set md5 = 'changed' where g % 1000 = 0", "checkpoint")
        assert found.back_up().kind == "Incremental"
        yield found


@dataclass
class Restored:
    """A point that runs, to ask it one thing after the other."""

    server: ScratchServer

    def ask(self, query: str) -> Answer:
        return trial.ask(self.server, "reader", true(query))


@pytest.fixture(scope="module")
def restored(chain: Chain) -> Iterator[Restored]:
    with (
        drills() as ground,
        ground.ground.places() as places,
        physical_server(part_of(chain, ground), places, Made(lambda: 0.0)) as server,
    ):
        with trial.opened(server, "postgres") as connection:
            trial.make_reader(connection, "reader")
            trial.let_in(connection, "postgres", "reader")
        yield Restored(server)


def part_of(chain: Chain, ground: Drills) -> Part:
    manifest = chain.manifests[0]
    point = manifest.facts.recovery_point_id
    order = ExtractOrder(
        job_id="whole",
        recovery_point_id=point,
        instance_id=manifest.facts.instance_id,
        manifest_name=f"p/{point}.manifest",
    )
    held = ground.hold(Client(chain, manifest), manifest)
    keys = PointKeys(held, SystemChance())
    return Part(held, order, manifest, chain.blobs, keys, 2, whole=True)


@pytest.fixture
def ground() -> Iterator[Drills]:
    with drills() as found:
        yield found


def rows_of(result: DrillResult) -> dict[tuple[str, str], int]:
    return {(each.database, each.table): each.rows for each in result.tables}


def reaches(restored: Restored, program: str) -> str:
    """What a superuser of the restored server is told who runs a program there."""
    with trial.opened(restored.server, "postgres") as connection:
        try:
            connection.execute(f"copy (select 1) to program '{program}'")
        except psycopg.Error as error:
            return str(error)
    return ""


def test_the_server_of_a_drill_reaches_nothing_where_the_kernel_lets_us(restored: Restored):
    network = network_of(scratch.running(restored.server.directory).pid)
    user = scratch.server_user()
    ways = [["unshare", "--net"], ["unshare", "--user", "--map-current-user", "--net"]]
    words = [*ways[0 if os.geteuid() == 0 else 1], "true"]
    allowed = subprocess.run(words, capture_output=True, check=False).returncode == 0
    assert network == (NO_NETWORK if allowed else HOST_NETWORK), user
    with trial.opened(restored.server, "postgres") as connection:
        connection.execute("create extension if not exists dblink")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(30)
        port = listening.getsockname()[1]
        # By a function that anybody may call: refused before or after its first packet.
        words = f"host=127.0.0.1 port={port} user=u password=p dbname=d connect_timeout=2"
        asked = restored.ask(f"select public.dblink_connect('{words}') = 'OK'")
        assert asked.answer.startswith("it fails"), asked
        # By a program, as what lies in a point may have it run with its owner's rights.
        program = f"exec 3<>/dev/tcp/127.0.0.1/{port}; echo $0 >&3"
        assert reaches(restored, "cat > /dev/null") == ""
        told = reaches(restored, f'bash -c "{program}" the-drill')
        subprocess.run(["bash", "-c", program, "we-ourselves"], check=True)
        heard = []
        while b"we-ourselves\n" not in heard:
            with listening.accept()[0] as caller:
                caller.settimeout(30)
                heard.append(caller.recv(100))
    assert (told != "") is allowed, told
    assert (heard == [b"we-ourselves\n"]) is allowed, "nobody else has called"


@pytest.mark.parametrize("number", [0, 1])
def test_a_healthy_point_passes_and_says_what_was_seen(
    chain: Chain, ground: Drills, space: Path, number: int
) -> None:
    before = sorted(space.rglob("*"))
    changed = ROWS // 1000 if number else 0
    told = ground.of_chain(
        chain, number, true(f"select count(*) = {changed} from t where md5 = 'changed'")
    )
    assert told.problems == []
    assert told.verdict == "Passed"
    assert told.network in {NO_NETWORK, HOST_NETWORK}
    assert rows_of(told) == {
        ("postgres", "public.t"): ROWS,
        ("postgres", "public.elsewhere"): 100,
        ("maps", "public.place"): 1,
        ("shop", "public.sold"): 1,
    }
    assert (told.databases, told.rows) == (3, ROWS + 102)
    assert told.indexes > 100
    assert told.relations > 100
    assert [each.answer for each in told.answers] == ["true"]
    assert set(told.seconds) == {"restore", "recover", "check", "count", "ask"}
    assert told.ready_seconds > 0
    assert told.written_bytes > told.fetched_bytes > 0
    assert told.server_version.startswith("15.")
    assert sorted(space.rglob("*")) == before
    words = [each["message"] for each in told.warnings]
    assert words[0] == "database maps uses not_here, which this host lacks"
    assert "index public.place_pkey: could not access file" in words[1]
    assert len(words) == 2


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("select count(*) > 9000 from t", "false"),
        ("select null::boolean", "null"),
        ("select true from t", "one row of one column"),
        ("select 1", "neither true nor false"),
        ("select true; select true", "it fails"),
        ("select no_such_column from t", 'column "no_such_column" does not exist'),
        ("delete from t returning true", "ReadOnlySqlTransaction"),
        ("select pg_read_file('postgresql.conf') <> ''", "permission denied"),
        ("select set_config('session_authorization', 'postgres', false) <> ''", "it fails"),
        ("copy (select true) to program 'true'", "must be superuser"),
    ],
)
def test_an_assertion_that_is_not_true_fails_the_drill_and_can_do_no_harm(
    restored: Restored, query: str, words: str
) -> None:
    answer = restored.ask(query)
    assert words in answer.answer


def test_what_an_assertion_says_when_it_fails_holds_no_value_of_a_row(restored: Restored) -> None:
    answer = restored.ask("select md5::int = 1 from t where g = 1").answer
    assert answer == "it fails: InvalidTextRepresentation"


def test_a_wrong_assertion_is_a_wrong_point(chain: Chain, ground: Drills) -> None:
    ground.own.set_assertions("orders", [true("select count(*) = 1 from sold", "shop")])
    told = ground.of_chain(chain, 1, true("select false"), true("select true", "nowhere"))
    assert told.verdict == "Failed"
    assert told.problems == [
        "assertion 'select false' of postgres: false",
        "assertion 'select true' of nowhere: the point has no such database",
    ]
    assert told.answers[0].answer == "true", "the host's own is asked first"


def test_a_point_that_cannot_be_read_fails(chain: Chain, ground: Drills) -> None:
    blobs = MemoryBlobs()
    blobs.objects.update(chain.blobs.objects)
    pack = chain.manifests[0].packs[0].name
    stored = bytearray(blobs.objects[pack])
    stored[len(stored) // 2] ^= 1
    blobs.objects[pack] = bytes(stored)
    held = ground.hold(Client(chain, chain.manifests[0]), chain.manifests[0])
    assert ground.run(held, blobs).verdict == "Failed"


def test_a_drill_stops_when_it_is_told_to_and_leaves_nothing(chain: Chain, ground: Drills) -> None:
    held = ground.hold(Client(chain, chain.manifests[0]), chain.manifests[0])
    held.stop(Cancelled("somebody asked"))
    with pytest.raises(Cancelled):
        ground.run(held, chain.blobs)
    assert not list(ground.scratch.iterdir())


def test_what_a_killed_drill_left_goes_at_the_next_start(chain: Chain, ground: Drills) -> None:
    part = part_of(chain, ground)
    with (
        ground.ground.places() as places,
        physical_server(part, places, Made(lambda: 0.0)) as made,
    ):
        with made.connect("postgres"):
            pass  # it runs, and is left alone now
        modes = {path.stat().st_mode & 0o777 for path in (places.home, places.sockets)}
        assert modes == {0o700}
        RestoreJournal(ground.home / "notes").take_away_left(remove_scratch)
        assert not places.home.exists()
        assert not places.sockets.exists()
        with pytest.raises(TargetError), made.connect("postgres"):
            pass


def test_without_a_library_that_the_source_preloads_nothing_is_said_of_the_point(
    chain: Chain, ground: Drills, broken: None
) -> None:
    """It does not start: that may be the library, or the point."""
    with pytest.raises(ToolsMissing, match="without not_here"):
        ground.of_chain(chain, 0)


# A server whose disk has turned bits before the backup: digests are right, pages are not.


@pytest.fixture(scope="module")
def spoiled() -> Iterator[Chain]:
    with start_server(15) as server, a_chain(server) as found:
        server.sql(
            "create table bad as select g, md5(g::text) from generate_series(1, 3000) g",
            "create table fine as select g, md5(g::text) from generate_series(1, 3000) g",
            "create index wrong on fine (md5)",
            "checkpoint",
        )
        heap, tree = (
            server.data_directory / server.sql(f"select pg_relation_filepath('{name}')")[0][0]
            for name in ("bad", "wrong")
        )
        server.stop()
        flip(heap, 8192 + 24)  # where the first row of the second page lies
        flip(
            tree,
            tree.read_bytes().rindex(
                hashlib.md5(b"777", usedforsecurity=False).hexdigest().encode()
            ),
        )
        server.start()
        assert found.back_up().warnings == []
        yield found


def flip(file: Path, offset: int) -> None:
    data = bytearray(file.read_bytes())
    data[offset] ^= 1
    file.write_bytes(data)


def test_rows_and_indexes_that_are_wrong_are_named_though_every_digest_is_right(
    spoiled: Chain, ground: Drills
) -> None:
    told = ground.of_chain(spoiled, 0)
    assert told.verdict == "Failed"
    assert any(
        each.startswith("database postgres: table public.bad: block 1: ") for each in told.problems
    )
    assert any("index public.wrong: " in each for each in told.problems)
    assert all("public.bad" in each or "public.wrong" in each for each in told.problems)


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is fetched loses its control file: no server starts from it."""
    real = drill_server.fetch

    def fetch(part: Part, directory: Path, home: Path) -> tuple[set[int], str]:
        found = real(part, directory, home)
        (directory / "global" / "pg_control").write_bytes(bytes(8192))
        return found

    monkeypatch.setattr(drill_server, "fetch", fetch)


def test_a_point_from_which_no_server_starts_fails(
    spoiled: Chain, ground: Drills, broken: None
) -> None:
    told = ground.of_chain(spoiled, 0)
    assert told.verdict == "Failed"
    assert "did not start" in told.problems[0]


def test_a_host_on_which_no_server_starts_says_nothing_of_the_point(
    spoiled: Chain, ground: Drills, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(drill_server.STRICT, "shared_buffers", "900TB")
    with pytest.raises(TargetError):
        ground.of_chain(spoiled, 0)
    assert not list(ground.scratch.iterdir())


# Dumps


@pytest.fixture(scope="module")
def dumped(server: Server) -> Iterator[Dumps]:
    with dumps() as found:
        server.sql("create role clerk")
        found.dump(server.conninfo)
        yield found


def test_a_dump_is_restored_into_a_new_server_and_asked(dumped: Dumps, ground: Drills) -> None:
    told = ground.of_dump(
        dumped,
        true("select count(*) = 1 from sold", "shop"),
        true("select exists (select from pg_roles where rolname = 'clerk')"),
        true("select count(*) = 1 from place", "maps"),
    )
    assert told.problems == []
    assert [each.answer for each in told.answers][:2] == ["true", "true"]
    assert "does not exist" in told.answers[2].answer
    counted = rows_of(told)
    assert counted["postgres", "public.t"] == ROWS
    assert counted["postgres", "public.elsewhere"] == 100
    lacking, not_asked = told.warnings
    assert "database maps" in lacking["message"]
    assert "not_here" in lacking["message"]
    assert "of maps" in not_asked["message"], "what is missing is this host's, not the dump's"


def test_a_dump_that_cannot_be_read_fails(dumped: Dumps, ground: Drills) -> None:
    manifest = dumped.manifests[-1]
    blobs = MemoryBlobs()
    blobs.objects.update(dumped.blobs.objects)
    pack = max(manifest.packs, key=lambda each: each.raw_size).name
    stored = bytearray(blobs.objects[pack])
    stored[len(stored) // 2] ^= 1
    blobs.objects[pack] = bytes(stored)
    assert ground.run(ground.hold(dumped, manifest), blobs).verdict == "Failed"
