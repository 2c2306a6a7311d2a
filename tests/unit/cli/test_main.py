import re

import pytest
from cyclopts import App

from seams import FakeClock, SeededChance
from strongroom.cli import main
from strongroom.cli.basis.exits import DENIED, FAILED, OK, USAGE
from strongroom.cli.basis.means import Means
from strongroom.model.errors import Forbidden


def unreachable(*words: object) -> object:
    raise AssertionError(words)


@pytest.fixture
def means():
    return Means(
        clock=FakeClock(),
        chance=SeededChance(),
        install_tools=unreachable,
        list_points=unreachable,
        rescue=unreachable,
        upgrade_catalogue=unreachable,
        rebuild=unreachable,
        new_enrol_token=unreachable,
        reset_password=unreachable,
        issue_certificate=unreachable,
        make_kit=unreachable,
        make_recovery_key=unreachable,
        public_of=unreachable,
        check_evidence=unreachable,
    )


@pytest.fixture
def app():
    return main.build(App(name="strongroom"))


@pytest.mark.parametrize("group", ["", *main.GROUPS])
def test_the_list_of_commands_says_what_each_of_them_does(app, means, capsys, group):
    names = main.GROUPS[group][1] if group else main.COMMANDS
    main.run(app, [*([group] if group else []), "--help"], means)
    shown = capsys.readouterr().out
    assert [name for name in names if not re.search(rf"{name} +[A-Z]\w+ \w+", shown)] == []


def test_every_command_stands_under_one_heading(app):
    listed = [name for names in main.HEADINGS.values() for name in names]
    assert sorted(listed) == sorted(set(listed))
    theirs = {
        "serve",
        "store",
        "agent",
        "wal-put",
        "completion",
    }  # of the processes: app/commands.py
    assert set(listed) == {*main.COMMANDS, *main.GROUPS, *theirs}


def every_command() -> list[list[str]]:
    grouped = [[group, name] for group, (_, names) in main.GROUPS.items() for name in names]
    return [[name] for name in main.COMMANDS] + grouped


@pytest.mark.parametrize("words", every_command(), ids=" ".join)
def test_the_help_of_every_command_shows_an_example(app, means, words, capsys):
    assert main.run(app, [*words, "--help"], means) == OK
    assert f"strongroom {' '.join(words)}" in capsys.readouterr().out.partition("Usage")[2][20:]


@pytest.mark.parametrize(
    "words", [["up", "--nope"], ["frobnicate"], ["points"], ["jobs", "x", "y"]]
)
def test_a_wrong_command_line_is_exit_code_two_with_a_hint(app, means, words, capsys):
    assert main.run(app, words, means) == USAGE
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert "hint: `strongroom" in told


def test_the_hint_names_the_command_that_was_meant(app, means, capsys):
    main.run(app, ["server", "add", "--nope"], means)
    assert "`strongroom server add --help`" in capsys.readouterr().err


def test_an_error_that_we_know_is_told_with_its_exit_code(means, capsys):
    app = App(name="strongroom")

    @app.command
    def deny():
        raise Forbidden("you may not", hint="Ask for the role.")

    assert main.run(app, ["deny"], means) == DENIED
    assert capsys.readouterr().err == "error: you may not\nhint: Ask for the role.\n"


def test_a_bug_is_told_as_a_bug(means, capsys):
    app = App(name="strongroom")

    @app.command
    def stumble():
        raise KeyError("x")

    assert main.run(app, ["stumble"], means) == FAILED
    told = capsys.readouterr().err
    assert "this is a bug in strongroom: KeyError" in told
    assert "Traceback" in told, "nobody sits before it: a log has all that there is to know"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["restore", "orders", "--in-place", "--at", ""], "what follows --at is empty"),
        (["restore", "orders", "--at=", "--in-place"], "--at is empty"),
        (["restore", " ", "--in-place"], "an argument is empty"),
    ],
)
def test_a_word_that_a_shell_has_left_empty_is_no_default(app, means, capsys, words, told):
    assert main.run(app, words, means) == USAGE
    assert told in capsys.readouterr().err
