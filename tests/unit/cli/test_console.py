import pytest

from strongroom.cli.basis import console
from strongroom.cli.basis.console import PlainMeter
from strongroom.model.errors import NotFound


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1536, "1.5 KiB"),
        (5 << 30, "5.0 GiB"),
        (1 << 62, "4096.0 PiB"),
    ],
)
def test_sizes_are_told_in_binary_units(count, words):
    assert console.size(count) == words


def test_an_error_is_a_fact_and_a_hint_on_standard_error(capsys):
    console.tell_error(NotFound("there is no point 7", hint="List them."))
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == "error: there is no point 7\nhint: List them.\n"


def test_a_table_is_as_wide_as_what_is_in_it(capsys):
    console.table(("a", "long name"), [("wide value", "x")], "nothing")
    assert capsys.readouterr().out == "A           LONG NAME\nwide value  x\n"


def test_a_terminal_obeys_no_name_of_a_database(capsys):
    """It would clear the screen, colour it, or write from right to left."""
    console.say("restored \x1b[2Jshop\r, \u202egpj.exe and\tm\u00fcnze")
    console.table(("name",), [("two\nlines",)], "nothing")
    console.facts({"database": "a\nb\x07"})
    console.tell_error(NotFound("there is no \x9b31mshop", hint="\x1b"))
    told = capsys.readouterr()
    assert told.out == (
        "restored \\x1b[2Jshop\\r, \\u202egpj.exe and\tm\u00fcnze\n"
        "NAME\ntwo\\nlines\n  database  a\n            b\\x07\n"
    )
    assert told.err == "error: there is no \\x9b31mshop\nhint: \\x1b\n"


def test_an_empty_table_says_so(capsys):
    console.table(("a",), [], "nothing yet")
    assert capsys.readouterr().out == "nothing yet\n"


def test_a_log_gets_a_line_for_each_step_and_tenth_not_for_each_poll(capsys):
    meter = PlainMeter("backup of orders")
    for done in range(0, 1001, 10):
        meter.show("Reading", done, 1000)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 11
    assert lines[5] == "backup of orders: Reading, 500 bytes of 1000 bytes (50 %)"
