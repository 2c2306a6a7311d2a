"""PostgreSQL's archive_command, where its user may not run our interpreter.

A script of a few lines asks, this process runs the real command in the data directory, and its
exit is the script's exit.
"""

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from integration.servers import Server, own

_SCRIPT = """#!/bin/sh
cd {place} || exit 1
printf '%s\\n' "$1" > "$2.new" && mv "$2.new" "$2.ask" || exit 1
until [ -f "$2.exit" ]; do sleep 0.05; done
read code < "$2.exit"
rm -f "$2.exit"
exit "$code"
"""


@contextlib.contextmanager
def archiving(server: Server, place: Path, spool: Path) -> Iterator[str]:
    """Within: what the archive_command is to be."""
    place.mkdir()
    own(place)
    script = place / "ask.sh"
    script.write_text(_SCRIPT.format(place=place))
    stopped = threading.Event()

    def work() -> None:
        while not stopped.wait(0.05):
            for asked in place.glob("*.ask"):
                path = asked.read_text().strip()
                asked.unlink()
                _answer(server, place / f"{asked.stem}.exit", path, spool)

    thread = threading.Thread(target=work, name="archiver")
    thread.start()
    try:
        yield f'sh {script} "%p" "%f"'
    finally:
        stopped.set()
        thread.join()


def _answer(server: Server, place: Path, path: str, spool: Path) -> None:
    command = [sys.executable, "-m", "strongroom", "wal-put", path, place.stem]
    done = subprocess.run(
        [*command, "--spool", str(spool)], cwd=server.data_directory, check=False
    )
    beside = place.with_suffix(".new")
    beside.write_text(f"{done.returncode}\n")
    beside.rename(place)
