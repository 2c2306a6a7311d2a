import stat
import threading

import pytest

from strongroom.agent.servers import ServerBook
from strongroom.model.errors import Conflict, Invalid, NotFound, Precondition

CONNINFO = "host=/tmp port=5433 user=postgres"
SECRET = "hunter2secret"


@pytest.fixture
def book(tmp_path) -> ServerBook:
    return ServerBook(tmp_path / "agent" / "servers.json")


def test_a_server_that_was_added_is_there(book):
    book.add("orders", CONNINFO)
    assert list(book.servers()) == ["orders"]


def test_the_file_and_its_directory_are_for_the_owner_alone(book, tmp_path):
    book.add("orders", CONNINFO)
    file = tmp_path / "agent" / "servers.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_a_file_that_others_can_read_is_refused(book, tmp_path):
    book.add("orders", CONNINFO)
    (tmp_path / "agent" / "servers.json").chmod(0o644)
    with pytest.raises(Precondition, match="can be read by others"):
        ServerBook(tmp_path / "agent" / "servers.json").servers()


@pytest.mark.parametrize("name", ["", "ab", "a" * 64, "a b c", "../x", "or_ders", "naïve"])
def test_a_name_outside_the_rule_is_refused(book, name):
    with pytest.raises(Invalid):
        book.add(name, CONNINFO)


def test_what_is_no_conninfo_is_refused_at_the_door(book):
    with pytest.raises(Invalid):
        book.add("orders", "nonsense")
    assert book.servers() == {}


def test_another_conninfo_under_a_taken_name_is_refused(book):
    book.add("orders", CONNINFO)
    with pytest.raises(Conflict):
        book.add("orders", CONNINFO + " dbname=x")


def test_adding_the_same_again_changes_nothing(book):
    book.add("orders", CONNINFO)
    book.add("orders", CONNINFO)
    assert list(book.servers()) == ["orders"]


def test_a_conninfo_is_replaced_when_asked(book):
    book.add("orders", CONNINFO)
    before = book.stamp()
    book.add("orders", CONNINFO + " dbname=x", replace=True)
    assert book.stamp() != before


def test_a_change_by_another_process_is_seen(book, tmp_path):
    assert book.servers() == {}
    ServerBook(tmp_path / "agent" / "servers.json").add("orders", CONNINFO)
    assert list(book.servers()) == ["orders"]


def test_a_removed_server_is_gone(book):
    book.add("orders", CONNINFO)
    book.remove("orders")
    assert book.servers() == {}


def test_an_unknown_server_is_not_found(book):
    with pytest.raises(NotFound):
        book.conninfo("orders")
    with pytest.raises(NotFound):
        book.remove("orders")


def test_a_file_that_is_not_ours_is_refused_by_name(book, tmp_path):
    book.add("orders", CONNINFO)
    (tmp_path / "agent" / "servers.json").write_bytes(b"[1]")
    with pytest.raises(Invalid, match="not a list of servers"):
        book.servers()


def test_servers_added_at_once_are_all_kept(book, tmp_path):
    def add(number: int) -> None:
        ServerBook(tmp_path / "agent" / "servers.json").add(f"server-{number}", CONNINFO)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(book.servers()) == 8


def test_no_password_shows_in_a_repr(book):
    book.add("orders", f"{CONNINFO} password={SECRET}")
    assert SECRET not in repr(book.servers())
