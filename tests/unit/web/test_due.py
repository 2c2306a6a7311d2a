"""What the next day brings: backups of one minute in one line, the nearest first."""

from whenever import Instant

from strongroom.control.overview.drill_rounds import Round
from strongroom.control.overview.fleet import Ship
from strongroom.model.arm import VaultRef
from strongroom.web.portal.due import BACKUP, DRILL, MOST, due_of

NOW = Instant.from_utc(2026, 11, 27, 3)


def ship(name: str, next_at: Instant | None) -> Ship:
    return Ship(
        id=name,
        name=name,
        vault=VaultRef(resource_group="rg", name="v"),
        server=name,
        agent_id="a",
        policy="p",
        tags={},
        state="ProtectionConfigured",
        version=0,
        size=0,
        points=0,
        oldest_at=None,
        newest_at=None,
        next_at=next_at,
        promise_seconds=86_400.0,
        drilled_at=None,
        protection="ok",
        proof="never",
    )


def test_backups_of_one_minute_stand_in_one_line_which_names_the_first():
    ships = [ship(f"s{each}", NOW.add(hours=1, seconds=each)) for each in range(5)]
    lines, later = due_of(
        [*ships, ship("late", NOW.subtract(minutes=9)), ship("off", None)], [], NOW
    )
    told = [(line.at, line.count, line.names, line.more) for line in lines]
    assert told == [
        (NOW.subtract(minutes=9), 1, ("late",), 0),
        (NOW.add(hours=1), 5, ("s0", "s1", "s2"), 2),
    ]
    assert later == 0


def test_what_comes_after_the_day_is_left_out_and_what_finds_no_line_is_counted():
    ships = [ship(f"s{each}", NOW.add(hours=each)) for each in range(1, 26)]
    lines, later = due_of(ships, [], NOW)
    assert [line.names for line in lines] == [(f"s{each}",) for each in range(1, MOST + 1)]
    assert later == 23 - MOST


def test_drills_stand_beside_backups_in_lines_of_their_own():
    hour = NOW.add(hours=1)
    rounds = [Round(ship=ship("a", None), days=30, next_at=hour, late=False)]
    rounds += [Round(ship=ship("b", None), days=30, next_at=None, late=True)]
    rounds += [Round(ship=ship("c", None), days=30, next_at=NOW.add(hours=25), late=False)]
    lines, later = due_of([ship("s", hour)], rounds, NOW)
    told = [(line.at, line.kind, line.names) for line in lines]
    assert told == [(NOW, DRILL, ("b",)), (hour, BACKUP, ("s",)), (hour, DRILL, ("a",))]
    assert later == 0
