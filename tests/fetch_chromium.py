"""Debian's Chromium, for the tests of the portal: installed where missing, by root."""

import os
import shutil
import subprocess
import sys


def main() -> None:
    if shutil.which("chromium"):
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        sys.exit("the portal's tests need chromium: apt-get install chromium")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update"], ["install", "-y", "--no-install-recommends", "chromium"]):
        subprocess.run(["apt-get", "-qq", *words], check=True, env=quiet, stdout=sys.stderr)
    if not shutil.which("chromium"):
        sys.exit("apt-get has installed chromium, and it is not on the path")


if __name__ == "__main__":
    main()
