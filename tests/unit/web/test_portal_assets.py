"""What the portal serves as it is: vendored files are the ones that were looked at, pages hold no
script and no style of their own, and each file fits a head.
"""

import hashlib
import re
from pathlib import Path

import pytest

import strongroom.web.portal
from strongroom.web.portal import assets

HOME = Path(strongroom.web.portal.__file__).parent
VENDOR = HOME / "static" / "vendor"
TEMPLATES = sorted((HOME / "templates").glob("*.html"))
OWN = [*TEMPLATES, *sorted((HOME / "static").glob("*.*"))]


def test_every_vendored_file_is_the_one_that_its_page_names_with_its_licence() -> None:
    told = (VENDOR / "README.md").read_text()
    rows = re.findall(r"^\| (\S+) \|.*\((\S+)\) \| ([0-9a-f]{64}) \|$", told, re.MULTILINE)
    scripts = {path.name for path in VENDOR.glob("*.js")}
    assert {name for name, _, _ in rows} == scripts
    for name, licence, digest in rows:
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest
        assert (VENDOR / licence).exists()


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_page_holds_a_script_a_style_or_markup_that_is_not_escaped(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|\|\s*safe\b", text)


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_a_file_of_the_portal_fits_a_head(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


def test_another_content_has_another_address() -> None:
    assert assets.address("portal.css") != assets.address("parts.css")
    digest = hashlib.sha256((HOME / "static" / "portal.css").read_bytes()).hexdigest()[:16]
    assert assets.address("portal.css") == f"/portal/static/{digest}/portal.css"
