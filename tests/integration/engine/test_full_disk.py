"""D1: a disk that is full while a restore writes: told so, and gone on with when there is room."""

import random

import pytest

from increments import a_chain
from integration.servers import open_directory, own, run_restored, some, start_server
from small_disk import at_write, small_disk
from strongroom.model.errors import TargetFull

pytestmark = [pytest.mark.postgres, pytest.mark.D1, pytest.mark.P7]
LEVELS = 10 if len(some(15)) > 1 else 4
SIZE = 256 << 20


def test_a_restore_that_found_no_room_at_any_moment_is_whole_the_next_time(monkeypatch):
    with (
        start_server(15) as server,
        a_chain(server) as chain,
        open_directory() as place,
        small_disk(place, SIZE, monkeypatch) as disk,
    ):
        own(place)
        server.sql("create table t as select g, md5(g::text) from generate_series(1, 9000) g")
        chain.back_up()
        with monkeypatch.context() as within:
            made = at_write(-1, disk, within)
            chain.restore(0, place / "whole")
        assert made[0] > LEVELS, "what is bounded below is what a restore writes by"
        for level in sorted(random.Random(1).sample(range(1, made[0]), LEVELS)):
            with monkeypatch.context() as within:
                at_write(level, disk, within)
                with pytest.raises(TargetFull):
                    chain.restore(0, place / "data")
            disk.free()
        chain.restore(0, place / "data")
        with run_restored(server, place / "data") as clone:
            assert clone.digests() == server.digests()
