"""The project speaks of itself alone: no machine, no registry, no unfinished business."""

import re

import pytest

from house.tree import ROOT, project_files

TEXT = {
    ".py",
    ".c",
    ".md",
    ".toml",
    ".txt",
    ".in",
    ".html",
    ".css",
    ".sql",
    ".sh",
    ".ini",
    ".mako",
}
HERE = "tests/house/test_hygiene.py"
FORBIDDEN = {
    "a path of one machine": re.compile(r"(?<![\w.])/(work/|home/[a-z]+/|root/\.)"),
    "the address of a registry": re.compile(
        r"https?://[^\s\"'`)]*(pypi|pythonhosted|index-url)|--(extra-)?index-url", re.IGNORECASE
    ),
    "an unfinished thought": re.compile(r"\b(TODO|FIXME|XXX|HACK)\b"),
    "a stub": re.compile(r"\bNotImplementedError\b"),
    "a skipped test": re.compile(r"pytest\.(mark\.)?(skip|skipif|xfail|importorskip)\b"),
    "a mock": re.compile(r"^\s*(from|import) unittest(\.mock| import mock)\b", re.MULTILINE),
}
FILES = [
    path
    for path in project_files()
    if (path.suffix in TEXT or path.name in ("Makefile", "run", "LICENSE"))
    and str(path.relative_to(ROOT)) != HERE
]


@pytest.mark.parametrize("what", sorted(FORBIDDEN))
def test_no_file_holds(what):
    found = [
        f"{path.relative_to(ROOT)}: {match.group(0).strip()}"
        for path in FILES
        for match in [FORBIDDEN[what].search(path.read_text())]
        if match
    ]
    assert found == []


def test_every_requirement_is_pinned_by_digest():
    for name in ("run.txt", "extras.txt", "dev.txt", "az.txt", "node.txt"):
        lines = (ROOT / "requirements" / name).read_text().replace("\\\n", " ").splitlines()
        pins = [line for line in lines if line.strip() and not line.startswith("#")]
        assert pins
        assert [line for line in pins if "==" not in line or "--hash=sha256:" not in line] == []


def test_every_dependency_is_explained():
    told = (ROOT / "docs" / "decisions" / "0009-dependencies.md").read_text()
    names = [
        re.split(r"[\[<>=]", line)[0]
        for name in ("run.in", "extras.in", "dev.in")
        for line in (ROOT / "requirements" / name).read_text().splitlines()
        if line and not line.startswith("-r")
    ]
    assert [name for name in names if f"`{name}`" not in told] == []
