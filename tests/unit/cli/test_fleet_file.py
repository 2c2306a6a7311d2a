import io

import pytest

from strongroom.cli.protection.fleet_file import Line, fleet_in, read_fleet
from strongroom.model.errors import Invalid

FLEET = """
# the orders of the shop
orders=postgresql://backup:pa=ss@db1.example.com/postgres?sslmode=require
  billing = host=db2 user=backup password='a b=c'

postgresql://backup@db3.example.com:6543/postgres
host=db4 user=backup
"""


def test_a_line_is_a_connection_string_with_a_name_or_without():
    found = fleet_in(FLEET)
    assert [(each.number, each.name) for each in found] == [
        (3, "orders"),
        (4, "billing"),
        (6, "db3-6543"),
        (7, "db4"),
    ]
    assert found[0].text == "postgresql://backup:pa=ss@db1.example.com/postgres?sslmode=require"
    assert found[1].text == "host=db2 user=backup password='a b=c'"


@pytest.mark.parametrize(
    "line",
    [
        "hunter2",
        "or_ders=host=db1 password=hunter2",
        "x=host=db1 password=hunter2",
        "orders=hunter2",
        "password='hunter2 host=db1",
        "Password=hunter2 host=db1",
        "orders=postgresql://u:hunter2@[bad/x",
        "mysql://u:hunter2@db1/x?a=b",
        f"host=db1 password=hunter2{'x' * 5000}",
    ],
)
def test_a_bad_line_is_told_by_its_number_and_never_repeated(line, capsys):
    with pytest.raises(Invalid) as raised:
        fleet_in(f"host=db1\n# so far so good\n{line}\nhost=db2\n")
    told = capsys.readouterr().err + raised.value.message + raised.value.hint
    assert "line 3: " in told
    assert "line 1" not in told
    assert "nothing was changed" in told
    assert "hunter2" not in told


def test_every_bad_line_is_told_at_once(capsys):
    with pytest.raises(Invalid, match="2 lines are"):
        fleet_in("one\nhost=db1\ntwo\n")
    assert [word for word in ("line 1:", "line 3:") if word in capsys.readouterr().err]


def test_two_servers_of_one_name_are_told_apart_by_whoever_wrote_them(capsys):
    with pytest.raises(Invalid):
        fleet_in("host=db1.east\nDB1=host=db1.west\n")
    assert "line 2: DB1 is the name of line 1, too" in capsys.readouterr().err


def test_a_line_shows_no_password():
    assert "hunter2" not in repr(Line(1, "orders", "password=hunter2"))


def test_a_dash_reads_standard_input(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("host=db1\n"))
    assert read_fleet("-") == [Line(1, "db1", "host=db1")]


def test_a_file_of_another_systems_editor_is_read(tmp_path):
    (tmp_path / "fleet").write_bytes(b"\xef\xbb\xbfhost=db1\r\nhost=db2\r\n")
    assert [each.name for each in read_fleet(str(tmp_path / "fleet"))] == ["db1", "db2"]


def test_a_file_that_is_none_and_one_without_a_server_are_refused(tmp_path):
    with pytest.raises(Invalid, match="cannot be read"):
        read_fleet(str(tmp_path / "missing"))
    (tmp_path / "empty").write_text("# nobody\n")
    with pytest.raises(Invalid, match="no server"):
        read_fleet(str(tmp_path / "empty"))
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(Invalid, match="UTF-8"):
        read_fleet(str(tmp_path / "bytes"))
