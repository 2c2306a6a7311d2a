"""What is told in time: locks that end, storage that fills, certificates that expire."""

import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lapse import Lapse
from seams import FakeClock
from strongroom.app.doors import LOOK_SECONDS, Doors
from strongroom.catalog.oversight import alerts as rows
from strongroom.catalog.tables import tables
from strongroom.catalog.usage import usage
from strongroom.config import SERVER_YEARS, ServeFiles
from strongroom.control.overview import alerts
from strongroom.control.protection import policies, reapplying
from strongroom.model.arm import VaultRef
from strongroom.model.errors import StoreUnavailable
from strongroom.model.oversight.outside import Certificate, Outside, Room
from strongroom.model.points.usage import Usage
from strongroom.model.protection.policy_templates import tagged_policy

START = datetime(2026, 1, 1, 6, tzinfo=UTC)
GIB = 1 << 30


def a_policy(days: int) -> dict[str, Any]:
    """Every night, each kept as long as the other."""
    nightly = "R/2026-01-01T02:00:00+00:00/P1D"
    return tagged_policy("BackupDaily", nightly, [], [("Default", f"P{days}D")])


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Lapse]:
    found = Lapse(tmp_path, START)
    vault = found.vault("v", "Locked")
    policies.put_policy(found.control, found.caller, vault, "policy", a_policy(30))
    found.protect(vault, "a", "policy")
    yield found
    found.close()


def go(world: Lapse, days: float) -> None:
    world.go_to(START + timedelta(days=days))
    with world.database.writing() as connection:  # its agent is well
        connection.execute(tables.agents.update().values(seen_at=world.clock.now()))


def back_up(world: Lapse) -> None:
    world.begin_due()
    for job in world.run_stories():
        world.commit(job)


def told(world: Lapse, *kinds: str, outside: Outside | None = None) -> list[str]:
    """Titles of what is there still, of these kinds."""
    control = replace(world.control, outside=outside or Outside())
    alerts.settle_alerts(control)
    with world.database.reading() as connection:
        there = rows.open_ones(connection)
    return [alert.title for alert in there if alert.key.partition(":")[0] in kinds]


def test_locks_that_end_are_told_a_week_before_and_new_ones_end_that(world: Lapse) -> None:
    go(world, 1)
    back_up(world)
    assert told(world, "locks") == []
    go(world, 22)
    assert told(world, "locks") == []
    go(world, 25)
    assert told(world, "locks") == ["a soon has no locked point any more"]
    back_up(world)
    assert told(world, "locks") == []


def test_locks_that_are_shorter_than_the_policy_is_now_are_told_until_they_are_extended(
    world: Lapse,
) -> None:
    go(world, 1)
    back_up(world)
    go(world, 26)
    back_up(world)
    assert told(world, "locks") == []
    place = VaultRef(resource_group=world.control.installation.resource_group, name="v")
    policies.put_policy(world.control, world.caller, place, "policy", a_policy(90))
    assert told(world, "locks") == ["a has locks that end before its policy does"]
    reapplying.apply_policy(world.control, world.caller, place, "policy", request_key="")
    world.run_stories()
    assert told(world, "locks") == []


def test_storage_that_fills_is_told_in_days_and_one_that_is_away_too(world: Lapse) -> None:
    room = Room(free_bytes=100 * GIB, reserve_bytes=GIB)
    outside = Outside(room=lambda: room)
    assert told(world, "storage", outside=outside) == []
    for day in range(20):
        note_usage(world, f"2026-01-{day + 1:02}", day * 4 * GIB)
    go(world, 20)
    assert told(world, "storage", outside=outside) == ["storage is filling"]
    with world.database.reading() as connection:
        (alert,) = [alert for alert in rows.open_ones(connection) if alert.key == "storage"]
    assert "about 25 days" in alert.words
    bucket = Outside(room=lambda: replace(room, holds_blobs=False))
    assert told(world, "storage", outside=bucket) == []
    full = Outside(room=lambda: replace(room, free_bytes=GIB))
    assert told(world, "storage", outside=full) == ["storage is full"]

    def away() -> Room:
        raise StoreUnavailable("nobody is there")

    assert told(world, "storage", outside=Outside(room=away)) == ["storage does not answer"]
    assert told(world, "storage", outside=Outside(room=lambda: Room(900 * GIB, GIB))) == []


def note_usage(world: Lapse, day: str, stored: int) -> None:
    found = Usage(
        instance_id=world.instance("a"),
        day=day,
        at=world.clock.now(),
        stored_bytes=stored,
        points_bytes=stored,
        unique_bytes=0,
        log_bytes=0,
        waiting_bytes=0,
        full_bytes=0,
        server_bytes=0,
    )
    with world.database.writing() as connection:
        usage.note(connection, found, {})


def test_a_certificate_is_told_a_month_before_and_no_more_once_it_is_renewed(
    world: Lapse,
) -> None:
    def doors(days: float) -> Outside:
        ends = world.clock.now().add(hours=24 * days)
        return Outside(certificates=lambda: [Certificate("api", "the API", ends, "restart")])

    assert told(world, "certificate", outside=doors(31)) == []
    assert told(world, "certificate", outside=doors(20)) == [
        "the certificate of the API expires soon"
    ]
    assert told(world, "certificate", outside=doors(-1)) == [
        "the certificate of the API has expired"
    ]
    assert told(world, "certificate", outside=doors(500)) == []


def test_the_doors_are_looked_at_from_outside_once_an_hour(tmp_path: Path) -> None:
    clock, files = FakeClock(), ServeFiles(tmp_path)
    files.ensure_certificates(["localhost"], clock)
    (tmp_path / "store").mkdir()
    other = files.issue(tmp_path / "store", ["localhost"], clock)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(other.certificate, other.key)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        taken: list[int] = []

        def answer() -> None:
            connection, _ = listening.accept()
            taken.append(1)
            context.wrap_socket(connection, server_side=True).close()

        thread = threading.Thread(target=answer)
        thread.start()
        url = f"https://localhost:{listening.getsockname()[1]}/account"
        doors = Doors(files, clock, url, "http://127.0.0.1:1/second")
        found = {each.key: each.ends_at for each in doors.certificates()}
        thread.join()
    assert found.keys() == {"api", "ca", "store"}
    assert (found["store"] - clock.now()).total("hours") == pytest.approx(
        24 * 365 * SERVER_YEARS, abs=1
    )
    assert doors.certificates() == doors.certificates()
    assert taken == [1]
    clock.advance(LOOK_SECONDS)
    assert {each.key for each in doors.certificates()} == {"api", "ca"}  # it is away now
