"""What pg_restore makes of a dump that comes through a pipe: its list, its definitions, its rows.

A dump's table of contents lies at its beginning, so that hardly more is read for the first two.
"""

import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import IO

from strongroom.model.errors import TargetError
from strongroom.postgres.server import scratch
from strongroom.postgres.server.scratch import RunAs
from strongroom.postgres.server.tools import Tools

_CHUNK = 1 << 20
Pieces = Iterable[bytes | memoryview]


def read_dump(  # noqa: PLR0913 - a program, its words, and where it reads and writes
    tools: Tools,
    words: Sequence[str],
    pieces: Pieces,
    write: Callable[[bytes], None],
    *,
    user: RunAs | None = None,
    environment: Mapping[str, str] | None = None,
    lenient: bool = False,
) -> list[str]:
    """Run pg_restore over a dump; what it says goes to `write`. Returns its complaints.

    With `lenient` it goes on after errors, and they are returned. Raises TargetError with its
    words otherwise; what `pieces` and `write` raise goes through. No program and no thread stays.
    """
    command = [str(tools.program("pg_restore")), *words]
    drop = scratch.Drop()
    if user is not None:
        command, drop = scratch.command_as(user, command)
    with tempfile.TemporaryFile() as said:
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", **(environment or {})},
            cwd="/",
            start_new_session=True,
            **drop,
        ) as process:
            _pump(process, pieces, write)
        said.seek(0)
        lines = said.read(1 << 20).decode(errors="replace").splitlines()
    if process.returncode and not (lenient and process.returncode == 1):
        told = " ".join(" ".join(lines).split())[-600:]
        raise TargetError(f"pg_restore failed: {told}", hint="Verify this recovery point.")
    return lines if process.returncode else []


def _pump(
    process: "subprocess.Popen[bytes]", pieces: Pieces, write: Callable[[bytes], None]
) -> None:
    """Both ends at once; the first failure of either counts."""
    assert process.stdin is not None  # noqa: S101 - pipes, asked for above
    assert process.stdout is not None  # noqa: S101
    feeder = _Feeder(process.stdin, pieces)
    try:
        feeder.start()
        while chunk := process.stdout.read(_CHUNK):
            write(chunk)
    except BaseException:
        process.kill()
        raise
    finally:
        feeder.join()
    if feeder.failure is not None:
        process.kill()
        raise feeder.failure


class _Feeder(threading.Thread):
    """Until the program wants no more."""

    def __init__(self, pipe: IO[bytes], pieces: Pieces) -> None:
        super().__init__(name="feed-pg_restore", daemon=True)
        self._pipe = pipe
        self._pieces = pieces
        self.failure: BaseException | None = None

    def run(self) -> None:
        """What goes wrong in here is raised by the one who waits."""
        try:
            for piece in self._pieces:
                self._pipe.write(piece)
            self._pipe.close()
        except BrokenPipeError:
            return
        except BaseException as error:  # noqa: BLE001 - raised in the other thread
            self.failure = error
        finally:
            self._abandon()

    def _abandon(self) -> None:
        """Closed whatever is left in its buffer."""
        try:
            self._pipe.close()
        except BrokenPipeError:
            return
