"""Run strongroom with a thread beside it that notes what every other thread is doing.

    python -m bench.sampling RESULT.json agent run ...

Every 5 ms the lines that threads stand at are noted, and with each the CPU time that the kernel
has counted for that thread since. So each line has seconds that it ran, and seconds that it stood
(for a disk, a socket, a lock, another thread's turn). At the end, or on SIGUSR1, they are written
as JSON: [[thread, file, function, line of source, ran, stood], ...], and forgotten.
"""

import json
import linecache
import os
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType

from strongroom.app import commands

_EVERY = 0.005
_TICK = 1 / os.sysconf("SC_CLK_TCK")
_HERE = "/strongroom/"

Place = tuple[str, str, str, int]  # thread, file, function, line


class Sampler(threading.Thread):
    """Samples until the process ends."""

    def __init__(self, result: Path) -> None:
        super().__init__(name="sampler", daemon=True)
        self._result = result
        self._ran: Counter[Place] = Counter()
        self._stood: Counter[Place] = Counter()
        self._cpu: dict[int, float] = {}
        self.wanted = threading.Event()

    def run(self) -> None:
        """Look, wait, look."""
        last = time.monotonic()
        while True:
            time.sleep(_EVERY)
            now = time.monotonic()
            self._look(now - last)
            last = now
            if self.wanted.is_set():
                self.wanted.clear()
                self._write()

    def _look(self, passed: float) -> None:
        frames = sys._current_frames()  # noqa: SLF001 - the only door to other threads' stacks
        for thread in threading.enumerate():
            frame = frames.get(thread.ident or 0)
            if frame is None or thread is self:
                continue
            place = _place(thread.name, frame)
            ran = min(passed, self._spent(thread.native_id or 0))
            self._ran[place] += ran  # type: ignore[assignment]
            self._stood[place] += passed - ran  # type: ignore[assignment]

    def _spent(self, thread: int) -> float:
        """CPU seconds since the last look. Source: /proc/PID/schedstat, nanoseconds."""
        try:
            now = int(Path(f"/proc/self/task/{thread}/schedstat").read_text().split()[0]) / 1e9
        except OSError:
            return 0.0
        before = self._cpu.get(thread, now)
        self._cpu[thread] = now
        return now - before

    def _write(self) -> None:
        rows = []
        for place, stood in self._stood.items():
            thread, file, function, line = place
            source = linecache.getline(file, line).strip()
            name = file.rpartition(_HERE)[2] if _HERE in file else Path(file).name
            rows.append([thread, name, function, source, self._ran[place], stood])
        self._ran.clear()
        self._stood.clear()
        beside = self._result.with_suffix(".new")
        beside.write_text(json.dumps(rows))
        beside.rename(self._result)


def _place(thread: str, frame: FrameType) -> Place:
    """The innermost line of ours, or where the thread stands when there is none."""
    found: FrameType | None = frame
    while found is not None and _HERE not in found.f_code.co_filename:
        found = found.f_back
    chosen = found or frame
    name = "operation" if thread.startswith("do-") else thread.rstrip("0123456789").rstrip("_-")
    return name, chosen.f_code.co_filename, chosen.f_code.co_name, chosen.f_lineno or 0


def main() -> None:
    """Sample, and be strongroom."""
    sampler = Sampler(Path(sys.argv[1]))
    signal.signal(signal.SIGUSR1, lambda *_: sampler.wanted.set())
    sampler.start()
    sys.argv[1:] = sys.argv[2:]
    sys.exit(commands.main())


if __name__ == "__main__":
    main()
