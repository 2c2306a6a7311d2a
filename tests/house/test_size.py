"""Functions that fit a screen, files that fit a head. The limits are the house's."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from house.tree import ROOT, source_files

LONGEST_FUNCTION = 60
USUAL_FUNCTION = 30  # nine of ten are shorter
LONGEST_FILE = 400


def functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


@pytest.mark.parametrize("path", source_files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_fits_a_head(path):
    assert len(path.read_text().splitlines()) <= LONGEST_FILE


def test_a_function_fits_a_screen():
    too_long = [
        f"{path.relative_to(ROOT)}:{name} has {lines} lines"
        for path in source_files()
        for name, lines in functions(path)
        if lines > LONGEST_FUNCTION
    ]
    assert too_long == []


def test_nine_functions_of_ten_are_short():
    lengths = sorted(lines for path in source_files() for _, lines in functions(path))
    assert lengths[len(lengths) * 9 // 10] <= USUAL_FUNCTION
