"""One supervised process: started, found ready, restarted with backoff, ended gracefully."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from strongroom.cli.basis.exits import STANDS
from strongroom.cli.basis.running import Child, start_time
from strongroom.model.errors import Failed
from strongroom.model.seams import Clock

READY_SECONDS = 60.0
QUICK_DEATHS = 5  # deaths in a row before it was ready
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 30.0
LOG_BYTES = 32 << 20


class Ready(msgspec.Struct, rename="camel"):
    """What `ready.json` says; ports that a process does not have are 0."""

    port: int = 0
    portal_port: int = 0


class Process:
    """`strongroom NAME ...` with its log; `arguments` are asked for at every start.

    A death after it was ready is met with a restart, a pause and a line in the log; a process
    that dies `QUICK_DEATHS` times in a row before it is ready is given up, and so is at once one
    that says by its exit code that somebody has to act first.
    """

    def __init__(
        self,
        name: str,
        directory: Path,
        log: Path,
        arguments: Callable[[], Sequence[str]],
        clock: Clock,
    ) -> None:
        self.name = name
        self._ready_file = directory / "ready.json"
        self.log = log
        self._arguments = arguments
        self._clock = clock
        self._process: subprocess.Popen[bytes] | None = None
        self._deaths = 0
        self._started_at = 0.0
        self._again_at = 0.0
        self._was_ready = False
        self.restarts = 0

    def start(self) -> None:
        """Begin; not ready yet."""
        self._ready_file.unlink(missing_ok=True)
        _rotate(self.log)
        command = [sys.executable, "-m", "strongroom", *self._arguments()]
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches us alone: we end them in order
            )
        self._started_at = self._clock.monotonic()
        self._was_ready = False

    def identity(self) -> Child | None:
        """Its pid and start time while it runs."""
        if self._process is None or self._process.poll() is not None:
            return None
        return Child(pid=self._process.pid, started=start_time(self._process.pid))

    def ready(self) -> Ready | None:
        """What it says once it is ready and alive; None before."""
        if self._process is None or self._process.poll() is not None:
            return None
        try:
            found = msgspec.json.decode(self._ready_file.read_bytes(), type=Ready)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None
        self._was_ready, self._deaths = True, 0
        return found

    def tend(self) -> bool:
        """Look after it once; True when it was started again.

        Raises Failed when it is given up, with the last words of its log.
        """
        if self._process is None:
            if self._clock.monotonic() < self._again_at:
                return False
            self.start()
            self.restarts += 1
            return True
        code = self._process.poll()
        if code is None:
            self._check_patience()
            return False
        self._process = None
        self._deaths += 1
        if code == STANDS:
            raise Failed(
                f"{self.name} does not go on: {self.last_words(2)}", hint=f"Its log is {self.log}."
            )
        if not self._was_ready and self._deaths >= QUICK_DEATHS:
            raise self._given_up(f"ended {self._deaths} times before it was ready (code {code})")
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (self._deaths - 1))
        self._again_at = self._clock.monotonic() + pause
        return False

    def ask_to_end(self) -> None:
        """SIGTERM."""
        if self._process is not None:
            self._process.terminate()

    def end(self, seconds: float) -> bool:
        """Wait until it has ended; False when it had to be killed."""
        if self._process is None:
            return True
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return False
        return True

    def last_words(self, lines: int = 5) -> str:
        """The end of its log."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, file.seek(0, 2) - 4096))
                words = file.read().decode(errors="replace").strip().splitlines()
        except FileNotFoundError:
            return ""
        return " | ".join(words[-lines:])

    def _check_patience(self) -> None:
        waited = self._clock.monotonic() - self._started_at
        if self._was_ready or waited < READY_SECONDS or self.ready() is not None:
            return
        raise self._given_up(f"was not ready after {READY_SECONDS:.0f} seconds")

    def _given_up(self, fact: str) -> Failed:
        return Failed(f"{self.name} {fact}: {self.last_words()}", hint=f"Its log is {self.log}.")


def _rotate(log: Path) -> None:
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.rename(log.with_name(f"{log.name}.1"))
