"""P6: a copy of the server, started beside it, has its name and another history."""

import shutil
import subprocess

import pytest

from increments import a_chain
from integration.servers import open_directory, run_restored, start_server

pytestmark = [pytest.mark.postgres, pytest.mark.P6]


def test_what_changed_in_a_copy_is_not_laid_over_a_point_of_its_original():
    """Its summaries tell of its own past: pages that the original alone has changed would stay."""
    settings = {"summarize_wal": "on", "autovacuum": "off"}
    with start_server(17, **settings) as original, open_directory() as place:
        original.sql("create table t as select n, 'old' as what from generate_series(1, 9000) n")
        original.stop()
        shutil.copytree(original.data_directory, place / "copy")
        owner = f"--reference={original.data_directory}"
        subprocess.run(["chown", "-R", owner, str(place / "copy")], check=True)
        original.start()
        with run_restored(original, place / "copy") as copy, a_chain(original) as chain:
            original.sql("update t set what = 'original' where n % 3 = 0", "checkpoint")
            chain.back_up()
            for number in range(3):
                copy.sql(f"update t set what = 'copy {number}' where n < 20", "checkpoint")
                copy.sql("select pg_switch_wal()")
            told = chain.back_up(copy)
            assert told.kind == "Full"
            assert "it is a copy of the server that is protected" in told.why_full
            assert [warning["kind"] for warning in told.warnings] == ["Conflict"]
            with chain.restored(1) as clone:
                assert clone.digests() == copy.digests()
            original.sql("update t set what = 'later' where n % 500 = 0")
            assert chain.back_up(original, on=0).kind == "Incremental"
            with chain.restored(2) as clone:
                assert clone.digests() == original.digests()
