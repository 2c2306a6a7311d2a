"""Have Azurite, Microsoft's emulator of Azure Blob, at hand for the tests: by npm, as pinned.

The lock file holds a digest of each package and no address. Where the host has no Node.js, one
comes from the same place as Python's packages.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "tests/azurite/package-lock.json"
HOME = ROOT / ".venv/azurite"
PROGRAM = HOME / "node_modules/azurite/dist/src/blob/main.js"


def fetch() -> None:
    """Safe twice, and for several at once: what is there as it was pinned stays."""
    HOME.parent.mkdir(exist_ok=True)
    with HOME.with_suffix(".lock").open("w") as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)
        stamp = HOME / "installed.json"
        if not stamp.exists() or stamp.read_bytes() != LOCK.read_bytes():
            _install(stamp)


def _install(stamp: Path) -> None:
    if node() is None or shutil.which("npm", path=search_path()) is None:
        words = ["-m", "pip", "install", "-q", "--disable-pip-version-check", "--require-hashes"]
        subprocess.run(
            [sys.executable, *words, "-r", str(ROOT / "requirements/node.txt")], check=True
        )
    shutil.rmtree(HOME, ignore_errors=True)
    shutil.copytree(LOCK.parent, HOME)
    subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
        cwd=HOME,
        env={**os.environ, "PATH": search_path()},
        check=True,
    )
    shutil.copy(LOCK, stamp)


def node() -> str | None:
    """Where Node.js is."""
    return shutil.which("node", path=search_path())


def search_path() -> str:
    """Where programs are looked for: beside this Python first."""
    return f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"


if __name__ == "__main__":
    fetch()
