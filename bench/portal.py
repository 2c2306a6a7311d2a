"""The portal with much in the catalogue: how long a page takes, and how much of it travels.

serve and store are processes as they are installed; instances, points and jobs are rows alone.
"""

import statistics
import time

import httpx
from bench.api import POINTS, Api
from bench.results import Ratio, Told, table

from journey.world import House
from strongroom.catalog.basis.database import Database

_ASKED = 30  # times, each page
_MOST_MS, _MOST_KB = 150, 60
_PAGES = {
    "overview": "/",
    "instances": "/instances",
    "jobs": "/jobs",
    "search, a name": "/instances?find=pg00500",
    "search, a database": "/instances?find=database_7",
    "search, an id": "/instances?find=00000032",
    "search, nothing": "/instances?find=no-such-thing",
    "restore, which": "/restore",
}


def measure(size: float) -> Told:
    """`size` 1: a thousand instances, a hundred thousand points."""
    count = max(2, round(1000 * size))
    house = House()
    try:
        for name in ("store", "serve"):
            house.start(name)
            house.wait_ready(name)
        database = Database(f"sqlite:///{house.directory}/serve/catalogue.sqlite")
        Api(house, database).fill(count)
        return _tell(house, count)
    finally:
        house.close()


def _tell(house: House, count: int) -> Told:
    told = Told(
        title="The portal",
        text=[
            f"{count:,} instances, {count * POINTS:,} recovery points and as many jobs; one page "
            "after the other, whole pages as a browser gets them, packed.",
            "",
        ],
        unit="ms",
    )
    rows = []
    with httpx.Client(base_url=house.connection["portal"], timeout=60) as client:
        password = (house.directory / "portal-password").read_text().strip()
        client.post("/sign-in", data={"name": "admin", "password": password})
        client.cookies.set("zone", "Europe/Berlin")
        for page, path in _PAGES.items():
            times, size = _ask(client, path)
            median = statistics.median(times) * 1e3
            rows.append([page, f"{median:.0f}", f"{max(times) * 1e3:.0f}", f"{size / 1e3:.1f}"])
            told.bars.append((page, median))
            if page == "overview":
                told.ratios += [
                    Ratio("the portal's overview, median", median, _MOST_MS, "ms"),
                    Ratio("the portal's overview, as it travels", size / 1e3, _MOST_KB, "kB"),
                ]
    told.text += table(["page", "median ms", "slowest ms", "kB"], rows)
    return told


def _ask(client: httpx.Client, path: str) -> tuple[list[float], int]:
    """(seconds of each answer, bytes of one as they travel)."""
    times, size = [], 0
    for _ in range(_ASKED):
        begun = time.perf_counter()
        with client.stream("GET", path) as answer:
            size = sum(len(part) for part in answer.iter_raw())
        times.append(time.perf_counter() - begun)
        assert answer.status_code == 200, answer.status_code
    return times, size
