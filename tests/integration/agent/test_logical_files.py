"""Files, one database and one table out of a logical point."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from guide import follow
from integration.servers import Server, open_directory, start_server
from logical import Dumps, dumps
from strongroom.model.errors import NotFound, TargetNotEmpty, TargetRefused

pytestmark = pytest.mark.postgres
ITEM = 'sales."Item.s"'
REFUSE = (
    "create function refuse() returns trigger language plpgsql as "
    "'begin raise exception ''not today''; end'"
)


@pytest.fixture(scope="module")
def source() -> Iterator[Server]:
    with start_server(15) as server:
        server.sql("create role clerk login password 'hush'", "create role boss superuser")
        server.sql("grant clerk to boss", 'create database "sp ace/ü"', "create database shop")
        server.sql("create table t as select 1 as one", database="sp ace/ü")
        server.sql(
            "create schema sales",
            "create table kind (id int primary key)",
            "insert into kind select generate_series(1, 9)",
            f"create table {ITEM} (id serial primary key, name text, kind int references kind)",
            f"insert into {ITEM} (name, kind) select repeat(md5(n::text), 40), 1 + n % 9 "
            "from generate_series(1, 9000) n",
            f'create index "by name" on {ITEM} (md5(name))',
            f"alter table {ITEM} owner to clerk",
            "create table part (id int, what text) partition by range (id)",
            "create table part_a partition of part for values from (0) to (500)",
            "create table part_b partition of part for values from (500) to (1000)",
            "insert into part select n, md5(n::text) from generate_series(0, 999) n",
            REFUSE,
            "create trigger refusing before insert on part_a for each row "
            "execute function refuse()",
            database="shop",
        )
        yield server


@pytest.fixture(scope="module")
def made(source) -> Iterator[Dumps]:
    with dumps() as made:
        made.dump(source.conninfo)
        source.sql("insert into part_b select n, 'b' from generate_series(600, 650) n",
                   database="shop")  # fmt: skip
        made.dump(source.conninfo)  # leans on the first: chunks of it lie in packs of both
        yield made


@pytest.fixture(scope="module")
def newer() -> Iterator[Server]:
    with start_server(18) as server:
        yield server


@pytest.fixture
def place() -> Iterator[Path]:
    with open_directory() as home:
        yield home / "files"


def _names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_all_of_it_is_left_as_files_and_its_guide_restores_them(source, newer, made, place):
    order = made.extract_order("all", target_directory=str(place), file_prefix="mon day")
    told = made.extract(order)
    assert _names(place) == [
        "mon day_RESTORE.md",
        "mon day_SHA256SUMS",
        "mon day_database_postgres.sql",
        "mon day_database_shop.sql",
        "mon day_database_sp ace%2F%C3%BC.sql",
        "mon day_manifest.json",
        "mon day_roles.sql",
        "mon day_schema.sql",
        "mon day_tablespaces.sql",
    ]
    assert told.written_bytes == sum(
        path.stat().st_size for path in place.iterdir() if path.name[8:] not in {
            "SHA256SUMS", "manifest.json"
        }
    )  # fmt: skip
    assert (place / "mon day_database_shop.sql").read_bytes()[:5] == b"PGDMP"
    roles = (place / "mon day_roles.sql").read_text()
    assert 'CREATE ROLE "clerk";' in roles
    assert not {"SUPERUSER", "PASSWORD", "GRANTED"} & set(roles.replace(";", " ").split())
    schema = (place / "mon day_schema.sql").read_text()
    assert 'CREATE INDEX "by name"' in schema
    assert "CREATE DATABASE" in schema
    follow(place / "mon day_RESTORE.md", newer)
    for database in ("shop", "sp ace/ü"):
        assert newer.digests(database) == source.digests(database) != {}
    newer.sql("drop database shop")


def test_one_database_is_left_under_another_name(source, newer, made, place):
    order = made.extract_order(
        "one", database="shop", rename="shop then", target_directory=str(place)
    )
    made.extract(order)
    assert _names(place) == ["RESTORE.md", "SHA256SUMS", "manifest.json", "shop then.dump"]
    follow(place / "RESTORE.md", newer, 2)
    assert newer.digests("shop then") == source.digests("shop")


def test_one_table_is_left_by_itself_under_another_name(source, made, place):
    order = made.extract_order(
        "table", database="shop", table=ITEM, rename="sales.item_then", target_directory=str(place)
    )
    told = made.extract(order)
    assert told.warnings == []
    files = {"shop.sales.item_then.dump", "RESTORE.md", "SHA256SUMS", "manifest.json"}
    assert {*_names(place)} == files, "nothing of the server that it went through"
    follow(place / "RESTORE.md", source, 2, "shop")
    found = source.digests("shop")
    assert found["sales.item_then"] == found[ITEM]
    keys = "select count(*) from pg_constraint where conrelid = 'sales.item_then'::regclass"
    assert source.sql(f"{keys} and contype in ('p', 'f')", database="shop") == [(2,)]
    source.sql("drop table sales.item_then", database="shop")


def test_a_partitioned_table_is_loaded_into_a_server_with_its_triggers_asleep(source, newer, made):
    newer.sql("create database shop")
    newer.sql(REFUSE, database="shop")
    order = made.extract_order("parts", database="shop", table="part", target_server="orders")
    made.extract(order, newer.conninfo)
    want = source.digests("shop")
    names = ("public.part", "public.part_a", "public.part_b")
    assert newer.digests("shop") == {name: want[name] for name in names}


def test_a_table_or_database_that_is_not_there_is_told_with_those_that_are(made, place):
    order = made.extract_order("no", database="shop", table="Item", target_directory=str(place))
    with pytest.raises(NotFound) as told:
        made.extract(order)
    assert ITEM.replace('"', "") in told.value.hint
    order = made.extract_order("none", database="shoe", target_directory=f"{place}-2")
    with pytest.raises(NotFound) as told:
        made.extract(order)
    assert "shop" in told.value.hint


def test_whose_directory_it_is_not_it_leaves_alone(made, place):
    place.mkdir()
    (place / "mine").write_text("mine")
    with pytest.raises(TargetNotEmpty):
        made.extract(made.extract_order("filled", target_directory=str(place)))
    assert _names(place) == ["mine"]


def test_a_whole_database_of_dumps_is_loaded_by_its_own_command(made):
    with pytest.raises(TargetRefused) as told:
        made.extract(made.extract_order("load", database="shop", target_server="orders"), "")
    assert "strongroom load" in told.value.message
