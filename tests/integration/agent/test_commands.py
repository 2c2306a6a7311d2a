import io
import json
from pathlib import Path

import pytest

from strongroom.agent.commands import (
    add_server,
    check_server,
    facts_as_json,
    list_servers,
    remove_server,
)
from strongroom.agent.servers import ServerBook
from strongroom.agent.settings import Settings
from strongroom.app.agent_commands import agent_add, agent_list, agent_remove
from strongroom.model.errors import Conflict, Invalid, NotFound, Precondition


def test_a_conninfo_comes_from_standard_input(tmp_path):
    add_server(tmp_path, "orders", io.StringIO("host=/tmp user=postgres\n"))
    assert list_servers(tmp_path) == ["orders"]


def test_what_is_not_given_of_a_known_server_stays_as_it_is(tmp_path):
    text = "host=/tmp user=postgres"
    add_server(tmp_path, "orders", io.StringIO(text), source="disk", archive="/var/spool/o")
    add_server(tmp_path, "orders", io.StringIO(text))
    other = "host=/run user=postgres"
    with pytest.raises(Conflict):
        add_server(tmp_path, "orders", io.StringIO(other))
    add_server(tmp_path, "orders", io.StringIO(other), replace=True)
    book = ServerBook(Settings(data=tmp_path).servers_file)
    assert (book.source("orders"), book.archive("orders")) == ("disk", Path("/var/spool/o"))
    with pytest.raises(Conflict):
        add_server(tmp_path, "orders", io.StringIO(other), archive="")
    add_server(tmp_path, "orders", io.StringIO(other), archive="", replace=True)
    assert (book.source("orders"), book.archive("orders")) == ("disk", None)


def test_the_agent_of_this_hosts_installation_is_found_and_none_is_made_up(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("STRONGROOM_DATA", str(tmp_path))
    monkeypatch.setattr("sys.stdin", io.StringIO("host=/tmp user=postgres"))
    with pytest.raises(Precondition, match=str(tmp_path / "agent")):
        agent_add("orders")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "agent").mkdir()
    agent_add("orders")
    agent_list()
    agent_remove("orders")
    agent_list()
    told = ["the agent looks after orders", "orders", "the agent looks after orders no more"]
    assert capsys.readouterr().out.splitlines() == told


@pytest.mark.parametrize("text", ["", "\n", "x" * 5000])
def test_nothing_and_too_much_are_no_conninfo(tmp_path, text):
    with pytest.raises(Invalid):
        add_server(tmp_path, "orders", io.StringIO(text))


def test_a_removed_server_is_gone(tmp_path):
    add_server(tmp_path, "orders", io.StringIO("host=/tmp user=postgres"))
    remove_server(tmp_path, "orders")
    assert list_servers(tmp_path) == []


def test_a_check_of_a_server_that_is_down_tells_its_problem_as_json(tmp_path):
    add_server(tmp_path, "orders", io.StringIO("host=/nowhere user=postgres password=hunter2"))
    told = json.loads(facts_as_json(check_server(tmp_path, "orders")))
    assert told["ready"] is False
    assert told["problems"][0]["kind"] == "SourceUnreachable"
    assert "hunter2" not in str(told)


def test_a_check_of_an_unknown_server_is_not_found(tmp_path):
    with pytest.raises(NotFound):
        check_server(tmp_path, "orders")
