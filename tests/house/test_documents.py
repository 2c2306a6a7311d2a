"""What the documents say is so: commands parse, links lead somewhere, nothing names a machine."""

import ast
import re
import shlex

import pytest
from cyclopts import App, CycloptsError

from house.tree import ROOT, project_files, source_files
from strongroom.app import commands
from strongroom.cli import main

DOCUMENTS = [path for path in project_files() if path.suffix == ".md"]
_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
_HINTED = re.compile(r"(?:`|: |or )strongroom ([a-z-]+(?: [a-z-]+)?)")
_LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")
_STOP = {"|", "<", ">", "&&", "||", ";", "&", "2>"}


def command_lines() -> list[tuple[str, str]]:
    """(document, command) for every `strongroom ...` in a shell block."""
    return [
        (str(path.relative_to(ROOT)), line.strip())
        for path in DOCUMENTS
        for block in _BLOCK.findall(path.read_text())
        for line in block.replace("\\\n", " ").splitlines()
        if line.strip().startswith("strongroom ")
    ]


def words_of(line: str) -> list[str]:
    words: list[str] = []
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = "#"
    for word in lexer:
        if word in _STOP:
            break
        words.append(word)
    return words[1:]


@pytest.fixture(scope="module")
def app() -> App:
    return commands._commands()


def test_the_documents_show_commands():
    assert len(command_lines()) > 20


@pytest.mark.parametrize(("document", "line"), command_lines())
def test_every_command_in_the_documents_is_one(app, document, line):
    try:
        app.parse_args(words_of(line), exit_on_error=False, print_error=False)
    except CycloptsError as error:
        pytest.fail(f"{document}: `{line}`: {error}")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_link_leads_somewhere(path):
    broken = [
        link for link in _LINK.findall(path.read_text()) if not (path.parent / link).exists()
    ]
    assert broken == []


def test_every_test_that_a_document_names_exists():
    missing = [
        f"{path.name}: {name}"
        for path in DOCUMENTS
        for name in re.findall(r"`(tests/[\w/.-]+)`", path.read_text())
        if not (ROOT / name).exists()
    ]
    assert missing == []


def hinted_commands() -> list[tuple[str, str]]:
    """(file, command) for every command line that a message of ours recommends."""
    return sorted(
        {
            (str(path.relative_to(ROOT)), " ".join(match.group(1).split()))
            for path in source_files()
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
            for match in _HINTED.finditer(node.value)
        }
    )


@pytest.mark.parametrize(("file", "line"), hinted_commands())
def test_every_command_that_a_message_recommends_exists(app, file, line):
    del file
    words = line.split()
    assert words[0] in app, line
    if list(app[words[0]]) and len(words) > 1 and words[0] in main.GROUPS | {"agent": ()}:
        assert words[1] in app[words[0]], line
