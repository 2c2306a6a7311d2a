"""Drills as a person sees them: what was proven, what is wrong, what is kept until it is right."""

from collections.abc import Iterator

import pytest

from integration.servers import Server, start_server
from journey.person import Person

pytestmark = [pytest.mark.postgres, pytest.mark.journey, pytest.mark.P9]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with start_server(18) as found:
        found.sql("create database shop")
        found.sql(
            "create table sold as select g, md5(g::text) from generate_series(1, 2000) g",
            "create unique index on sold (g)",
            database="shop",
        )
        yield found


def test_a_point_is_proven_fails_and_is_released(person: Person, server: Server) -> None:
    person.ok("protect", "-", "--name", "orders", stdin=server.conninfo)
    checks = person.home / "checks.sql"
    checks.write_text(
        "-- database: shop\n-- name: all is sold\nselect count(*) = 2000 from sold;\n"
    )
    agent = ["--data", str(person.data / "agent")]
    person.ok("agent", "assertions", "orders", *agent, "--file", str(checks))

    told = person.ok("drill", "orders", "--wait")
    assert "Passed: recovery point" in told
    assert "2000 rows in 1 tables" in told
    assert "1 of 1 true" in told
    assert "amcheck" in told
    (point,) = person.json("points", "orders")
    assert point["drilled"].startswith("Passed 2")
    (found,) = person.json("drill", "show", "orders")
    assert found["verdict"] == "Passed"
    assert found["result"]["serverVersion"].startswith("18.")
    assert [each["name"] for each in found["result"]["answers"]] == ["all is sold"]
    left = [
        *(person.data / "agent").glob("scratch/*"),
        *(person.data / "agent").rglob("*.scratch"),
    ]
    assert left == []

    wrong = person.home / "wrong.sql"
    wrong.write_text("-- database: shop\nselect count(*) = 0 from sold;\n")
    failed = person.run("drill", "orders", "--check", str(wrong), "--wait")
    assert failed.returncode == 1
    assert "failed its drill" in failed.stderr
    doctor = person.run("doctor")
    assert "orders is ExpiryHeld since" in doctor.stdout
    assert "the last drill of orders failed" in doctor.stdout
    (server_now,) = person.json("status")["servers"]
    assert server_now["expiryHeld"]["why"].endswith("failed its drill")

    assert "points of orders expire again" in person.ok("expiry", "release", "orders")
    again = person.run("expiry", "release", "orders")
    assert again.returncode == 1
    assert "nothing holds the expiry of orders" in again.stderr
    person.ok("drill", "orders", "--wait")
    assert "orders" not in person.run("doctor").stdout
    assert "every 7 days" in person.ok("server", "set", "orders", "--drill-every", "7d")
