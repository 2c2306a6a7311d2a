"""Where files are left: a directory of this host, a container, a bucket.

Whatever it is, a name is given once: nothing that lies there is written over, and a file is there
whole or not at all. What an attempt of a job has finished is known to the next one.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

Bytes = bytes | bytearray | memoryview
Sink = Callable[[Bytes], object]
PIECE = 1 << 20  # bytes that are read at once


class FileTarget(Protocol):
    """One job's."""

    @property
    def place(self) -> str:
        """For people; there is no secret in it."""
        ...

    @property
    def directory(self) -> Path | None:
        """On this host; None where it is none."""
        ...

    def claim(self) -> None:
        """Before anything is written. Raises TargetNotEmpty, TargetRefused, StoreError."""
        ...

    def holds(self, name: str) -> bool:
        """Whether an attempt of this job has finished that file; TargetNotEmpty: somebody else."""
        ...

    def create(self, name: str) -> AbstractContextManager[Sink]:
        """A new file, there when the context ends well. ObjectExists when the name is taken."""
        ...

    def read(self, name: str) -> Iterator[Bytes]:
        """What lies there, in pieces. ObjectMissing when nothing does."""
        ...

    def settle(self) -> None:
        """All of it is written, and its manifest with it."""
        ...
