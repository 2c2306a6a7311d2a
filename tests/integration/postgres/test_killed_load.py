"""A load whose agent is killed: nothing goes on filling the server."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from integration.servers import Server, start_server

pytestmark = pytest.mark.postgres

LOADING = """
import sys
from pathlib import Path
from strongroom.postgres.dump.load import restore_database
from strongroom.postgres.server.client import client_of
from strongroom.postgres.server.connect import Conninfo
from strongroom.postgres.server.tools import Tools
conninfo, directory, dump, jobs = sys.argv[1:]
tools = Tools(major=15, directory=Path(directory))
with (
    client_of(Conninfo.parse(conninfo)) as client,
    restore_database(tools, client, "slow", Path(dump), jobs=int(jobs), owners=True) as program,
):
    print(program.pid, flush=True)
    program.run()
"""


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False


def await_load(server: Server, *, under_way: bool) -> None:
    query = "select count(*) > 0 from pg_stat_activity where query ~ '^CREATE TABLE'"
    deadline = time.monotonic() + 30
    while server.sql(query) != [(under_way,)]:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("jobs", [0, 2])
def test_pg_restore_ends_with_the_agent_that_was_killed(tmp_path: Path, jobs: int) -> None:
    with start_server(15) as server:
        server.sql("create table t as select 1 as n", "create database slow")
        dump = tmp_path / "dump"
        pg_dump = str(server.tools.program("pg_dump"))
        subprocess.run([pg_dump, "-Fc", "-f", dump, server.conninfo], check=True)
        server.sql(
            "create function wait() returns event_trigger language plpgsql as "
            "'begin perform pg_sleep(600); end'",
            "create event trigger slow on ddl_command_start when tag in ('CREATE TABLE') "
            "execute function wait()",
            database="slow",
        )
        words = server.conninfo, server.tools.directory, dump, str(jobs)
        with subprocess.Popen(
            [sys.executable, "-c", LOADING, *words], stdout=subprocess.PIPE, text=True
        ) as agent:
            assert agent.stdout is not None
            pid = int(agent.stdout.readline())
            await_load(server, under_way=True)
            assert running(pid)
            agent.send_signal(signal.SIGKILL)
        deadline = time.monotonic() + 10
        while running(pid):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        server.sql(
            "select pg_terminate_backend(pid) from pg_stat_activity where query ~ '^CREATE'"
        )
        await_load(server, under_way=False)
        assert server.sql("select 1 from pg_class where relname = 't'", database="slow") == []
