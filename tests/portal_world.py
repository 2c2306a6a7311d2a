"""A browser before the portal: Debian's Chromium, what it complains of, and pictures of pages."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

PICTURES = Path(__file__).parents[1] / "build" / "portal"  # not kept by git
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
PATIENCE = 60_000.0  # milliseconds
THEMES = ("light", "dark")


@contextlib.contextmanager
def a_browser() -> Iterator[Browser]:
    found = shutil.which("chromium")
    assert found, "there is no chromium: apt-get install chromium (make test does it for root)"
    # Its sandbox wants a user of its own; containers of tests have root alone.
    bare = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found, args=[*bare, "--disable-dev-shm-usage", "--disable-gpu"]
        )
        yield browser
        browser.close()


class Visitor:
    """Somebody at a browser of their own; all that its console says is written down."""

    def __init__(self, browser: Browser, url: str, size: dict[str, int] = WIDE) -> None:
        self.context: BrowserContext = browser.new_context(
            base_url=url, ignore_https_errors=True, viewport=size, timezone_id="Europe/Berlin"
        )
        self.context.set_default_timeout(PATIENCE)
        self.page: Page = self.context.new_page()
        self.said: list[str] = []
        self.page.on("console", lambda told: self._hear(told.type, told.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))

    def _hear(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            self.said.append(text)

    def sign_in(self, name: str, password: str) -> None:
        self.page.goto("/sign-in")
        self.page.fill("#name", name)
        self.page.fill("#password", password)
        self.page.click("button.primary")
        self.page.wait_for_selector("main .head")

    def complaints(self, name: str, theme: str) -> list[Any]:
        """What axe-core has against the page as it is now; its picture is kept."""
        self.page.emulate_media(color_scheme=theme)
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=PICTURES / f"{name}-{theme}.png", full_page=True)
        found = Axe().run(self.page).response["violations"]
        return [(each["id"], [node["target"] for node in each["nodes"]]) for each in found]

    def close(self) -> None:
        self.context.close()
