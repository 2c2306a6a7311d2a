"""The progress bar that people see."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)

from strongroom.cli.basis.seen import seen


class RichMeter:
    """One task in a rich progress display."""

    def __init__(self, progress: Progress, title: str) -> None:
        self._progress = progress
        self._title = title
        self._task = progress.add_task(seen(title), total=None)

    def show(self, step: str, done: int, total: int, stored: int = 0) -> None:
        """Move the bar; an unknown total pulses."""
        del stored
        self._progress.update(
            self._task,
            description=seen(f"{self._title}: {step}"),
            completed=done,
            total=max(total, done) or None,
        )


@contextmanager
def shown(title: str) -> Iterator[RichMeter]:
    """On stderr, gone when it is done: the command's last words stay."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield RichMeter(progress, title)
