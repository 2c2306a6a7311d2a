"""V1: a whole house on each kind of catalogue, before each major, with each kind of backup."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from campaign.seed import SEED
from covering import covering
from integration.servers import Server, run_restored, start_server
from journey.test_broken_off import Shell
from journey.world import House

pytestmark = [pytest.mark.postgres, pytest.mark.journey, pytest.mark.V1]
FACTORS = {
    "catalogue": ("sqlite", "postgresql"),
    "source": (14, 15, 16, 17, 18),
    "kind": ("Full", "Logical"),
}


def words(row: dict[str, Any]) -> str:
    return "-".join(map(str, row.values()))


@contextmanager
def a_shell(catalogue: str) -> Iterator[Shell]:
    """Somebody at a shell of a house whose catalogue is of that kind."""
    with ExitStack() as stack:
        house = House()
        stack.callback(house.close)
        if catalogue == "postgresql":
            keeps = stack.enter_context(start_server(15))
            url = f"postgresql+psycopg://postgres@/postgres?host={keeps.home}&port={keeps.port}"
            house.more["serve"] = ["--catalogue", url]
        house.start_all()
        yield Shell(house)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("row", covering(FACTORS, lambda row: True, SEED), ids=words)
def test_a_server_is_protected_changed_proven_and_brought_back(row):
    with a_shell(row["catalogue"]) as shell, start_server(row["source"]) as server:
        server.sql("create database shop")
        server.sql(
            "create table t as select n, md5(n::text) s from generate_series(1, 20000) n",
            database="shop",
        )
        shell.json("policy", "create", "wanted", "--backup-type", row["kind"])
        protect = ("protect", "-", "--name", "orders", "--policy", "wanted")
        done = shell.run(*protect, stdin=server.conninfo)
        assert done.returncode == 0, done.stderr
        server.sql("update t set s = 'new' where n % 50 = 0", database="shop")
        kind = shell.json("backup", "orders")["recoveryPoint"]["kind"]
        assert kind == ("Logical" if row["kind"] == "Logical" else "Incremental")
        told = shell.json("verify", "orders", "--all")
        assert [each["verified"] for each in told] == [True, True]
        bring_back(shell, server, row["kind"])
        shell.house.restart("serve")
        assert len(shell.json("points", "orders")) == 2
        assert {job["status"] for job in shell.json("jobs")} == {"Completed"}


def bring_back(shell: Shell, server: Server, kind: str) -> None:
    if kind == "Logical":
        renamed = ("--database", "shop", "--rename", "shop=then")
        shell.json("load", "orders", "--to-server", "orders", *renamed)
        assert server.digests("then") == server.digests("shop")
        return
    target = Path(shell.house.directory) / "restored"
    shell.json("restore", "orders", "--to-dir", str(target))
    with run_restored(server, target) as clone:
        assert clone.digests("shop") == server.digests("shop")
