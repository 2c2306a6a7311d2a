"""What lies in storage, counted and foreseen, in a time lapse with pages that change.

A page is a byte. Every backup reads anew what is hot, some of what is cold, and what was added; a
pack stays for as long as a point needs any page of it; and it is full again by the product's rule.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs
from whenever import Instant

from lapse import Lapse
from strongroom.catalog.tables import tables
from strongroom.catalog.usage import costs as cost_rows
from strongroom.catalog.usage import usage
from strongroom.control.overview import costs
from strongroom.control.protection import policies
from strongroom.datastore.maps.manifest import Manifest, PackFacts
from strongroom.model.ids import PackId
from strongroom.model.oversight.forecast import measure, stored_by_tag
from strongroom.model.points.preview import preview
from strongroom.model.points.usage import Share
from strongroom.model.protection.policy import parse_policy
from strongroom.model.protection.policy_templates import tagged_policy
from strongroom.model.work.operation import BackupResult
from strongroom.workflows.backup.parents import LEAST_LIVE
from strongroom.workflows.care.care import measure_all
from strongroom.workflows.care.measuring import measure as count

START = datetime(2026, 1, 1, 1, tzinfo=UTC)
WEEK = timedelta(days=7)
TOLERANCE = 0.2
"""How far a forecast may be from what the time lapse stores, at any anniversary."""
HOT, COLD, ADDED = 60, 15, 2  # pages of each backup
PACK = 50  # pages


def kept_for_years() -> dict[str, Any]:
    """Every week; the first of a month 13 months, the first of a year 10 years."""
    tags = [("Yearly", 5, "FirstOfYear"), ("Monthly", 15, "FirstOfMonth")]
    kept = [("Default", "P8W"), ("Monthly", "P13M"), ("Yearly", "P10Y")]
    return tagged_policy("BackupWeekly", "R/2026-01-01T02:00:00+00:00/P1W", tags, kept)


class Pages(Lapse):
    """One server whose pages change, backed up by increments as the product takes them."""

    def __init__(self, home: Path) -> None:
        super().__init__(home, START)
        self.dice = random.Random(18)
        self.holder: list[PackFacts] = []  # of each page
        self.chain: list[PackFacts] = []  # what the newest point needs
        self.generation = ""
        self.ref = self.vault("v", "Disabled")
        policies.put_policy(self.control, self.caller, self.ref, "policy", kept_for_years())
        self.server = self.protect(self.ref, "a", "policy")
        self.now = START

    def week(self) -> None:
        self.now += WEEK
        self.go_to(self.now)
        for job in self.begin_due():
            self.run_stories()
            self.commit(job)

    def changed(self) -> list[int]:
        """What is hot, at the begin; what is cold, anywhere; what was added, at the end."""
        size = len(self.holder)
        cold = self.dice.sample(range(HOT, size), COLD)
        return [*range(HOT), *sorted(cold), *range(size, size + ADDED)]

    def report(self, job_id: str, parent: str = "") -> tuple[BackupResult, Manifest]:
        result, manifest = super().report(job_id, parent)
        point, live = manifest.facts.recovery_point_id, len(self.holder)
        held = sum(pack.size for pack in self.chain)
        is_full = not self.generation or live < LEAST_LIVE * held
        pages = list(range(live or 1000)) if is_full else self.changed()
        self.generation = point if is_full else self.generation
        self.holder += [manifest.packs[0]] * (max(pages) + 1 - live)
        put = self._put(manifest, pages)
        self.chain = list({pack.id: pack for pack in self.holder}.values())
        self.packs[point] = self.chain
        stored = sum(pack.size for pack in put)
        result = msgspec.structs.replace(
            result,
            kind="Full" if is_full else "Incremental",
            raw_bytes=len(self.holder),
            stored_bytes=stored,
        )
        parent_of = {"recoveryPointId": self.generation, "generation": self.generation}
        order = {"parent": parent_of}
        with self.database.writing() as connection:
            mine = tables.agent_operations.c.id == job_id
            told = tables.agent_operations.update().where(mine)
            connection.execute(told.values(result=msgspec.to_builtins(result), order=order))
        return result, msgspec.structs.replace(manifest, packs=self.chain)

    def _put(self, manifest: Manifest, pages: list[int]) -> list[PackFacts]:
        shelf, found = self.shelves.container(self.server), []
        shelf.objects.pop(manifest.packs[0].name)
        for start in range(0, len(pages), PACK):
            some = pages[start : start + PACK]
            pack = msgspec.structs.replace(
                manifest.packs[0],
                id=PackId(self.chance.bytes(16)),
                size=len(some),
                raw_size=len(some),
            )
            shelf.create(pack.name, bytes(len(some)))
            for page in some:
                self.holder[page] = pack
            found.append(pack)
        return found

    def counted(self) -> usage.Usage:
        """As it is now."""
        self.expire(self.server)
        count(self.means, self.server)
        with self.database.reading() as connection:
            return usage.newest(connection)[self.server]


@pytest.fixture
def pages(tmp_path: Path) -> Iterator[Pages]:
    found = Pages(tmp_path)
    yield found
    found.close()


def foresee(pages: Pages) -> Callable[[Instant], float]:
    """What the forecast of this moment says of later ones."""
    now = pages.control.clock.now()
    with pages.database.reading() as connection:
        taken = cost_rows.taken_by(connection, [pages.server], now.subtract(hours=24 * 400))
    seen = measure(taken[pages.server], len(pages.holder))
    ahead = preview(parse_policy(kept_for_years()), now, 10)
    assert seen is not None
    return lambda at: sum(stored_by_tag(seen, ahead, [at])[0].values())


def check_forecasts(pages: Pages, weeks: int) -> None:
    """Made after half a year and after two, each is as near as it says to what is stored later."""
    forecasts, compared = [], 0
    with capture_logs():
        for week in range(1, weeks + 1):
            pages.week()
            if week in {26, 104}:
                forecasts.append(foresee(pages))
            if week % 26 == 0 and forecasts:
                there, at = pages.counted().points_bytes, pages.control.clock.now()
                for forecast in forecasts:
                    assert forecast(at) == pytest.approx(there, rel=TOLERANCE), week
                    compared += 1
    assert compared > weeks // 26


def test_what_is_foreseen_is_what_is_stored_years_later(pages: Pages) -> None:
    check_forecasts(pages, 156)  # ten years: tests/campaign/campaign_usage.py
    # What was counted is what brute force counts: for each byte, whose it is.
    counted = pages.counted()
    shelf = pages.shelves.container(pages.server)
    living = {point: pages.packs[point] for point, _, _ in pages.living()[pages.server]}
    names = Counter(pack.name for packs in living.values() for pack in packs)
    sizes = {name: len(shelf.objects[name]) for name in names}
    assert counted.points_bytes == sum(sizes.values())
    assert counted.stored_bytes == sum(len(data) for data in shelf.objects.values())
    assert counted.waiting_bytes == sum(
        len(data) for name, data in shelf.objects.items() if name[:2] == "g/" and name not in sizes
    )
    for point, packs in living.items():
        own = len(shelf.objects[f"p/{point}.receipt"]) + len(shelf.objects[f"p/{point}.manifest"])
        alone = sum(pack.size for pack in packs if names[pack.name] == 1)
        with pages.database.reading() as connection:
            share = usage.share_of(connection, point)
        assert share == Share(alone + own, sum(pack.size for pack in packs) - alone)
    assert counted.unique_bytes == sum(sizes[name] for name, of in names.items() if of == 1)


def test_a_day_is_counted_once_and_what_is_put_later_is_added(pages: Pages) -> None:
    with capture_logs():
        for _ in range(3):
            pages.week()
    measure_all(pages.means)
    measure_all(pages.means)
    (before,) = costs.costs_of_fleet(pages.control, pages.caller)
    assert (before.counted_on, before.points) == ("2026-01-22", 3)
    assert before.points_bytes == 1000 + 2 * (HOT + COLD + ADDED)
    assert before.stored > before.points_bytes
    with capture_logs():
        pages.week()
    (after,) = costs.costs_of_fleet(pages.control, pages.caller)
    assert after.points_bytes == before.points_bytes + HOT + COLD + ADDED
    assert after.stored == before.stored + HOT + COLD + ADDED
    assert after.as_full > before.as_full > before.points_bytes
    assert after.month_to_date > before.month_to_date > 0
    measure_all(pages.means)
    (counted,) = costs.costs_of_fleet(pages.control, pages.caller)
    assert counted.counted_on == "2026-01-29"
    assert counted.points_bytes == after.points_bytes
