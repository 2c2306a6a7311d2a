"""P6: checksums are switched on and off between the backups of a chain."""

import subprocess

import pytest

from engine_checks import check_sound
from increments import a_chain
from integration.servers import some, start_server
from strongroom.postgres.server import scratch

pytestmark = [pytest.mark.postgres, pytest.mark.P6]


def switch(server, verb):
    server.stop()
    user = scratch.server_user(server.data_directory)
    program = server.tools.program("pg_checksums")
    subprocess.run(
        [program, verb, "-D", server.data_directory],
        check=True,
        capture_output=True,
        **scratch.drop_to(user),
    )
    server.start()


@pytest.mark.parametrize("major", some(18))
def test_what_was_switched_is_read_anew_and_every_checksum_is_right(major):
    settings = {"summarize_wal": "on"} if major >= 17 else {}
    options = ("--no-data-checksums",) if major >= 18 else ()
    with (
        start_server(major, options=options, autovacuum="off", **settings) as server,
        a_chain(server) as chain,
    ):
        server.sql("create table t as select g, md5(g::text) from generate_series(1, 20000) g")
        chain.back_up(source="stream")
        for verb in ("--enable", "--disable", "--enable"):
            switch(server, verb)
            server.sql("update t set md5 = 'x' where g = 7")
            chain.back_up(source="stream")
            told = chain.results[-1]
            assert told.kind == ("Full" if settings else "Incremental")
            assert ("checksums have been switched" in told.why_full) == bool(settings)
            with chain.restored(len(chain.manifests) - 1) as clone:
                assert clone.digests() == server.digests()
                check_sound(clone)
