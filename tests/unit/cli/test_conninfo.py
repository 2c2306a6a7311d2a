import io
import socket

import pytest

from strongroom.cli.basis import conninfo
from strongroom.model.errors import Invalid


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("postgresql://u:p@db1.example.com/postgres", "db1"),
        ("postgresql://u@db1.example.com:6543/postgres", "db1-6543"),
        ("postgres://db1", "db1"),
        ("host=orders.internal user=backup", "orders"),
        ("host=10.0.0.7 port=5433", "10-0-0-7-5433"),
        ("postgresql://u@[2001:db8::7]/postgres", "2001-db8-7"),
        ("host=pg,standby port=5432,5433", "pg-pg"),
        ("postgresql:///postgres?host=db7.example.com&port=5440", "db7-5440"),
    ],
)
def test_a_server_is_named_after_its_host_and_an_unusual_port(text, name):
    assert conninfo.name_for(text) == name


@pytest.mark.parametrize("text", ["host=/run/postgresql", "dbname=postgres", "host=localhost"])
def test_a_local_server_is_named_after_this_machine(text):
    assert socket.gethostname().split(".")[0].replace("_", "-")[:3] in conninfo.name_for(text)


@pytest.mark.parametrize("text", ["no equals sign", "host='open quote", "postgresql://[bad/x"])
def test_what_is_no_connection_string_is_refused_without_repeating_it(text):
    with pytest.raises(Invalid) as raised:
        conninfo.name_for(text)
    assert text not in raised.value.message + raised.value.hint


def test_a_dash_reads_standard_input(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("host=db1\n"))
    assert conninfo.read("-") == "host=db1"


@pytest.mark.parametrize("text", ["", "   ", "x" * 4097])
def test_nothing_or_too_much_is_no_connection_string(text):
    with pytest.raises(Invalid):
        conninfo.read(text)
