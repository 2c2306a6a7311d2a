"""Somebody at a shell, with a house of their own."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Person:
    """Somebody at a shell, with a data directory."""

    def __init__(self, home: Path) -> None:
        self.data = home / "data"
        self.home = home
        self.told = ""  # by the first start

    def run(self, *words: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        environment = {**os.environ, "STRONGROOM_DATA": str(self.data)}
        command = [sys.executable, "-m", "strongroom", *words]
        return subprocess.run(
            command, input=stdin, text=True, capture_output=True, env=environment, check=False
        )

    def json(self, *words: str) -> object:
        done = self.run(*words, "--output", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def ok(self, *words: str, stdin: str = "") -> str:
        done = self.run(*words, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def child(self, name: str) -> int:
        return int(json.loads((self.data / "up.json").read_text())["children"][name]["pid"])


@contextmanager
def a_person() -> Iterator[Person]:
    """Within: the house is up."""
    home = Path(tempfile.mkdtemp(prefix="sr-cli-"))
    home.chmod(0o755)
    found = Person(home)
    try:
        found.told = found.ok("up", "--detach", "--port", "0")
        yield found
    finally:
        found.run("down")
        shutil.rmtree(home, ignore_errors=True)
