"""D1: a disk that is full while a restore writes: told so, and gone on with when there is room."""

import errno
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from increments import a_chain
from integration.servers import open_directory, run_restored, start_server
from strongroom.model.errors import TargetFull

pytestmark = [pytest.mark.postgres, pytest.mark.D1, pytest.mark.P7]
LEVELS = 4


@contextmanager
def a_disk_of(monkeypatch: pytest.MonkeyPatch, writes: float) -> Iterator[list[int]]:
    """So many writes find room; yields how many there were."""
    made = [0]

    def bounded(real: Any) -> Any:
        def write(*given: Any) -> Any:
            made[0] += 1
            if made[0] > writes:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*given)

        return write

    with monkeypatch.context() as within:
        for name in ("pwrite", "pwritev"):
            within.setattr(os, name, bounded(getattr(os, name)))
        yield made


def test_a_restore_that_found_no_room_at_any_moment_is_whole_the_next_time(monkeypatch):
    with start_server(15) as server, a_chain(server) as chain, open_directory() as place:
        server.sql("create table t as select g, md5(g::text) from generate_series(1, 9000) g")
        chain.back_up()
        with a_disk_of(monkeypatch, float("inf")) as made:
            chain.restore(0, place / "whole")
        assert made[0] > LEVELS, "what is bounded below is what a restore writes by"
        levels = sorted(random.Random(1).sample(range(made[0]), LEVELS))
        for level in levels:
            with a_disk_of(monkeypatch, level), pytest.raises(TargetFull):
                chain.restore(0, place / "data")
        chain.restore(0, place / "data")
        with run_restored(server, place / "data") as clone:
            assert clone.digests() == server.digests()
