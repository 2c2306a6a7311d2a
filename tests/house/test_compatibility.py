"""docs/azure-compatibility.md says what the routes say. `UPDATE_GOLDEN=1` writes it anew."""

import os

from arm_routes import ROUTERS
from compatibility_page import SDK, page
from house.tree import ROOT

PAGE = ROOT / "docs" / "azure-compatibility.md"


def test_the_page_is_what_the_routes_say() -> None:
    if os.environ.get("UPDATE_GOLDEN"):
        PAGE.write_text(page())
    assert PAGE.read_text() == page()


def test_every_call_that_the_page_names_has_a_route() -> None:
    names = {route.name for module in ROUTERS for route in module.router.routes}
    assert SDK.keys() <= names
