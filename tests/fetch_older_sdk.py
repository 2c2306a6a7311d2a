"""Have the older SDK at hand, in a directory of its own: two versions do not fit into one."""

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PINNED = ROOT / "requirements/older-sdk.txt"
HOME = Path(sys.prefix) / "older-sdk"


def fetch() -> Path:
    """Where it is. Safe twice, and for several at once: what is there as it was pinned stays."""
    with HOME.with_suffix(".lock").open("w") as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)
        stamp = HOME / "installed.txt"
        if not stamp.exists() or stamp.read_bytes() != PINNED.read_bytes():
            shutil.rmtree(HOME, ignore_errors=True)
            words = ["-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps"]
            words += ["--require-hashes", "--target", str(HOME), "-r", str(PINNED)]
            subprocess.run([sys.executable, *words], check=True)
            shutil.copy(PINNED, stamp)
    return HOME


if __name__ == "__main__":
    fetch()
