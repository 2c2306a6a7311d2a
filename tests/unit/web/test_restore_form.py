"""The wizard's form asks for what the API takes, whatever is chosen in it."""

import shlex
from typing import Any

import pytest
from cyclopts import App
from whenever import Instant

from strongroom.cli.main import build
from strongroom.model.errors import Invalid
from strongroom.model.restore.restore_request import RestoreRequest, read_request
from strongroom.model.wal_moment import Moment
from strongroom.web.portal.door import Form
from strongroom.web.portal.restore_form import request_of
from strongroom.web.portal.restore_words import command_of

NOW = Instant.parse_iso("2026-11-22T20:00:00Z")


def asked(**fields: str) -> RestoreRequest:
    told = {"point": "a" * 32, "where": "directory", "directory": "/srv/r", **fields}
    return read_request(body_of(told), NOW)


def body_of(told: dict[str, str]) -> dict[str, Any]:
    return request_of(Form({k: [v] for k, v in told.items()}), "Europe/Berlin")


@pytest.mark.parametrize(
    ("fields", "kind", "value"),
    [
        ({"when": "time", "moment": "2026-11-22 14:05:00"}, "time", "2026-11-22T13:05:00Z"),
        ({"when": "time", "moment": "2026-11-22T13:05:00.5Z"}, "time", "2026-11-22T13:05:00.5Z"),
        ({"when": "lsn", "lsn": "16/b374d848"}, "lsn", "16/B374D848"),
        ({"when": "xid", "xid": "1234567"}, "xid", "1234567"),
        ({"when": "name", "named": "before v42"}, "name", "before v42"),
        ({"when": "follow"}, "follow", "on"),
    ],
)
def test_every_kind_of_moment_is_asked_for(fields: dict[str, str], kind: str, value: str) -> None:
    assert asked(**fields, timeline="3").moment == Moment(kind=kind, value=value, timeline=3)


def test_a_moment_that_is_written_beside_a_chosen_point_is_not_asked_for() -> None:
    found = asked(when="point", moment="2026-11-22 14:05:00", lsn="16/B374D848")
    assert found.moment is None
    assert found.recovery_point_id == "a" * 32


def test_a_whole_server_goes_to_a_directory_with_its_tablespaces_elsewhere() -> None:
    found = asked(what="all", start="yes", port="5433", tablespaces="/a=/b\n\n/c=/d\n")
    assert (found.start, found.port) == (True, 5433)
    assert found.tablespaces == {"/a": "/b", "/c": "/d"}


def test_a_part_goes_where_it_is_wanted() -> None:
    table = {"what": "table", "database": "shop", "table": "public.t", "rename": "t2"}
    part = asked(**table, where="server", server="pg1").part
    assert part is not None
    assert (part.table, part.rename, part.target_server) == ("public.t", "t2", "pg1")
    part = asked(what="files", where="directory", prefix="x").part
    assert part is not None
    assert (part.database, part.file_prefix) == ("", "x")
    load = asked(what="all", where="server", server="pg1", roles="yes").load
    assert load is not None
    assert (load.target_server, load.with_roles) == ("pg1", True)


@pytest.mark.parametrize(
    "fields",
    [
        {"when": "lsn"},
        {"when": "time", "moment": "tomorrow"},
        {"when": "xid", "xid": "7", "timeline": "one"},
        {"what": "table", "database": "shop"},
        {"what": "database"},
        {"port": "http"},
        {"tablespaces": "/a"},
    ],
)
def test_what_is_missing_or_unreadable_is_refused_with_a_hint(fields: dict[str, str]) -> None:
    with pytest.raises(Invalid) as refused:
        asked(**fields)
    assert refused.value.hint


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"when": "point", "start": "yes", "port": "5433", "tablespaces": "/a b=/c"},
            f"restore orders --point {'a' * 32} --to-dir /srv/r --port 5433 "
            "--tablespace '/a b=/c' --start",
        ),
        (
            {"when": "time", "moment": "2026-11-22 14:05:00", "timeline": "3"},
            "restore orders --at 2026-11-22T13:05:00Z --timeline 3 --to-dir /srv/r",
        ),
        (
            {"when": "lsn", "lsn": "16/B374D848", "where": "in_place", "start": "yes"},
            "restore orders --at-lsn 16/B374D848 --in-place --start",
        ),
        (
            {"when": "name", "named": "it's noon", "what": "files", "prefix": "x"},
            "restore orders --at-name 'it'\"'\"'s noon' --to-files /srv/r --prefix x",
        ),
        (
            {"when": "follow", "start": "yes"},
            "restore orders --standby --to-dir /srv/r --start",
        ),
        (
            {"when": "xid", "xid": "7", "what": "table", "database": "shop", "table": "s.t"}
            | {"rename": "s.u", "where": "server", "server": "pg2"},
            "restore orders --at-xid 7 --database shop --table s.t --rename s.u --to-server pg2",
        ),
        (
            {"what": "database", "database": "shop", "where": "place"}
            | {"url": "s3://out/x", "endpoint": "https://s3.example.com"},
            f"restore orders --point {'a' * 32} --database shop --to-files s3://out/x "
            "--s3-endpoint https://s3.example.com",
        ),
        (
            {"what": "all", "where": "server", "server": "pg2", "roles": "yes"},
            f"load orders --point {'a' * 32} --to-server pg2 --with-roles",
        ),
    ],
)
def test_the_command_line_says_the_same_and_is_one(fields: dict[str, str], words: str) -> None:
    told = {"point": "a" * 32, "where": "directory", "directory": "/srv/r", **fields}
    line = command_of("orders", body_of(told), second=True)
    assert line == f"strongroom {words} --from-second"
    build(App()).parse_args(shlex.split(line)[1:], exit_on_error=False, print_error=False)
