"""The API with much in the catalogue: how long one answer takes, and how many come a second.

And how long it takes to protect as many. serve and store are processes as they are installed; the
servers are rows alone.
"""

import asyncio
import itertools
import os
import ssl
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from azure.mgmt.dataprotection.models import BackupInstanceResource
from bench.api_fill import add_instances, add_points, add_servers, name_of
from bench.results import Ratio, Told, table
from whenever import Instant

from journey.cloud import LTR, READER, Cloud, default_template, protected
from journey.world import House, Postgres
from strongroom.catalog.basis.database import Database

POINTS = 100  # of each instance
_ASKED = 200  # times, each question
_WARM_SECONDS, _SECONDS, _ROUNDS, _RATE = 5, 15, 3, 200
_GETS = 6  # of each thing, for one of each list
_VERSION = "api-version=2026-06-01"
_SDK_AT_ONCE = 16
_CONNECTIONS = 16


def measure(size: float) -> Told:
    """On SQLite; `size` 1: a thousand instances."""
    return _measure("SQLite", _embedded, size)


def measure_shared(size: float) -> Told:
    """On PostgreSQL."""
    return _measure("PostgreSQL", _shared, size)


def measure_protect(size: float) -> Told:
    """Each through the SDK, on SQLite; `size` 1: a thousand servers."""
    return _measure_protect("SQLite", _embedded, size)


def measure_protect_shared(size: float) -> Told:
    """On PostgreSQL."""
    return _measure_protect("PostgreSQL", _shared, size)


def _measure_protect(
    name: str, running: Callable[[], AbstractContextManager[tuple[House, Database]]], size: float
) -> Told:
    count = max(1, round(1000 * size))
    with running() as (found, database):
        api = Api(found, database)
        before = api.processor
        times = api.protect(count)
        used = api.processor - before
    seconds = times.pop()
    each = [f"{statistics.median(times):.2f}", f"{_p99(times):.2f}"]
    row = [f"{seconds:.1f}", f"{count / seconds:.1f}", *each, f"{used / count * 1e3:.0f}"]
    head = ["seconds", "a second", "each, median s", "p99 s", "serve's processor ms, each"]
    return Told(
        title=f"Protecting many servers on {name}",
        text=[
            f"{count:,} servers through the SDK, {_SDK_AT_ONCE} at once, nothing else. The SDK "
            "looks whether it is done after a second: more than as many a second cannot be.",
            "",
            *table(head, [row]),
        ],
        bars=[(f"{name}, {count:,} servers", seconds)],
    )


def _measure(
    name: str, running: Callable[[], AbstractContextManager[tuple[House, Database]]], size: float
) -> Told:
    count = max(1, round(1000 * size))
    told = Told(
        title=f"The API on {name}",
        text=[
            f"{count:,} instances, {count * POINTS:,} recovery points and as many jobs in one "
            "vault; client and server share the processors.",
        ],
        unit="ms",
    )
    with running() as (found, database):
        _one(told, name, count, Api(found, database))
    return told


@dataclass
class Api:
    """A house without an agent, its catalogue, and somebody who asks."""

    house: House
    database: Database

    def __post_init__(self) -> None:
        self.cloud = Cloud(self.house)
        found = self.house.connection
        self.base = found["arm"]
        self.home = f"{self.cloud.scope()}/providers/Microsoft.DataProtection/backupVaults/vault1"
        token = self.cloud.credential.get_token(self.base + "/.default").token
        self.headers = {"Authorization": f"Bearer {token}"}

    @property
    def memory(self) -> float:
        """MiB that serve holds. Source: proc(5), VmRSS."""
        status = Path(f"/proc/{self.house.proc.pids()['serve']}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024

    def fill(self, count: int) -> None:
        """One instance through the API, the others and all their points as rows like its own."""
        self.protect(1)
        now = Instant.now()
        if count > 1:
            add_instances(self.database, count, now)
        add_points(self.database, POINTS, now)

    @property
    def processor(self) -> float:
        """Seconds of a processor that serve has used. Source: proc(5), utime and stime."""
        stat = Path(f"/proc/{self.house.proc.pids()['serve']}/stat").read_text()
        utime, stime = stat.rpartition(")")[2].split()[11:13]
        return (int(utime) + int(stime)) / os.sysconf("SC_CLK_TCK")

    def protect(self, count: int) -> list[float]:
        """So many servers, each through the SDK, some at once: seconds of each, then of all."""
        cloud = self.cloud
        cloud.resources.resource_groups.create_or_update(cloud.group, {"location": "local"})
        vault = cloud.make_vault()
        cloud.backup.backup_policies.create_or_update(
            cloud.group, cloud.vault, "pol", default_template()
        )
        for role in (LTR, READER):
            cloud.assign(cloud.scope(), role, vault.identity.principal_id)
        add_servers(self.database, cloud.group, count, Instant.now())
        begun = time.monotonic()
        with ThreadPoolExecutor(_SDK_AT_ONCE) as pool:
            times = list(pool.map(self._protect, range(count)))
        return [*times, time.monotonic() - begun]

    def _protect(self, number: int) -> float:
        name, cloud = name_of(number), self.cloud
        wish = BackupInstanceResource(properties=protected(cloud, name))
        begun = time.monotonic()
        made = cloud.backup.backup_instances.begin_create_or_update(
            cloud.group, cloud.vault, f"{name}-inst", wish
        ).result()
        assert made.properties.current_protection_state == "ProtectionConfigured"
        return time.monotonic() - begun

    def questions(self) -> dict[str, str]:
        """What is asked, and its path."""
        one = f"{self.home}/backupInstances/{name_of(0)}-inst"
        point = self._first(f"{one}/recoveryPoints")
        job = self._first(f"{self.home}/backupJobs")
        return {
            "get vault": self.home,
            "list instances (100)": f"{self.home}/backupInstances",
            "get instance": one,
            "list points (100)": f"{one}/recoveryPoints",
            "get point": point,
            "list jobs (100)": f"{self.home}/backupJobs",
            "get job": job,
        }

    def client(self) -> httpx.Client:
        """One connection that stays open."""
        return httpx.Client(
            base_url=self.base, verify=self.house.connection["ca"], headers=self.headers
        )

    def _first(self, path: str) -> str:
        with self.client() as client:
            return str(client.get(f"{path}?{_VERSION}").json()["value"][0]["id"])

    def alone(self, path: str) -> list[float]:
        """Seconds of each answer, one after the other."""
        times = []
        with self.client() as client:
            for _ in range(_ASKED):
                begun = time.perf_counter()
                answer = client.get(f"{path}?{_VERSION}")
                times.append(time.perf_counter() - begun)
                assert answer.status_code == 200, answer.text
        return times

    def sustained(self, paths: list[str], seconds: int) -> tuple[float, list[float]]:
        """(answers a second, seconds of each) while so many are asked for, come what may."""
        asked = [f"{path}?{_VERSION}" for path in paths]
        crowd = Crowd(self.base, self.house.connection["ca"], self.headers)
        return asyncio.run(crowd.ask(asked, seconds))


class Crowd:
    """Callers who take turns on a few connections, by plain HTTP: the server does the work."""

    def __init__(self, base: str, ca: str, headers: Mapping[str, str]) -> None:
        self._place = urlsplit(base)
        self._tls = ssl.create_default_context(cafile=ca)
        lines = {"Host": self._place.netloc, **headers}
        self._head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self._waiting: asyncio.Queue[tuple[str, float] | None] = asyncio.Queue()
        self._times: list[float] = []

    async def ask(self, paths: list[str], seconds: int) -> tuple[float, list[float]]:
        """Each at its time; what waited for its turn counts as waiting."""
        loop = asyncio.get_running_loop()
        callers = [asyncio.create_task(self._caller()) for _ in range(_CONNECTIONS)]
        begun, turns = loop.time(), itertools.cycle(paths)
        for number in range(seconds * _RATE):
            due = begun + number / _RATE
            await asyncio.sleep(max(0.0, due - loop.time()))
            self._waiting.put_nowait((next(turns), due))
        for _ in callers:
            self._waiting.put_nowait(None)
        await asyncio.gather(*callers)
        return len(self._times) / (loop.time() - begun), self._times

    async def _caller(self) -> None:
        loop = asyncio.get_running_loop()
        reader, writer = await self._connected()
        while (turn := await self._waiting.get()) is not None:
            path, due = turn
            if writer.is_closing() or reader.at_eof():
                reader, writer = await self._connected()
            writer.write(f"GET {path} HTTP/1.1\r\n{self._head}\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length))
            assert head.startswith(b"http/1.1 200"), head
            self._times.append(loop.time() - due)
        writer.close()

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        place = self._place
        return await asyncio.open_connection(place.hostname, place.port, ssl=self._tls)


def _one(told: Told, name: str, count: int, api: Api) -> None:
    api.fill(count)
    rows, worst = [], 0.0
    questions = api.questions()
    for question, path in questions.items():
        times = api.alone(path)
        worst = max(worst, _p99(times))
        rows.append(
            [question, f"{statistics.median(times) * 1e3:.1f}", f"{_p99(times) * 1e3:.1f}"]
        )
        told.bars.append((question, _p99(times) * 1e3))
    singles = [path for question, path in questions.items() if question.startswith("get")]
    mix = [*singles * _GETS, *(set(questions.values()) - set(singles))]
    held = [api.memory]
    api.sustained(mix, _WARM_SECONDS)
    held.append(api.memory)
    rates, times = [], list[float]()
    for _ in range(_ROUNDS):
        rate, found = api.sustained(mix, _SECONDS)
        rates.append(rate)
        times += found
        held.append(api.memory)
    rate = min(rates)
    told.text += [
        "",
        *table(["asked, one after the other", "median ms", "p99 ms"], rows),
        "",
        f"{_RATE} a second for {_ROUNDS} times {_SECONDS} s, one in {len(mix) // 3} a list: "
        f"{rate:.0f} a second answered on {_CONNECTIONS} connections, median "
        f"{statistics.median(times) * 1e3:.1f} ms, p99 {_p99(times) * 1e3:.1f} ms. Memory of "
        f"serve: {held[0]:.0f} MiB before, {held[1]:.0f} MiB after {_WARM_SECONDS} s, then "
        f"{', '.join(f'{each:.0f}' for each in held[2:])} MiB after each.",
    ]
    told.ratios += [
        Ratio(f"p99 of the slowest answer, {name}", worst * 1e3, 50, "ms"),
        Ratio(f"seconds for {_RATE} answers, {name}", _RATE / rate, 1.02, "s"),
        Ratio(
            f"memory that serve gains in its last {_SECONDS} s, {name}",
            held[-1] - held[-2],
            2,
            "MiB",
        ),
    ]


def _p99(times: list[float]) -> float:
    return statistics.quantiles(times, n=100)[98]


@contextmanager
def _embedded() -> Iterator[tuple[House, Database]]:
    with _running(
        House(), lambda house: f"sqlite:///{house.directory}/serve/catalogue.sqlite"
    ) as f:
        yield f


@contextmanager
def _shared() -> Iterator[tuple[House, Database]]:
    server = Postgres()
    url = f"postgresql+psycopg://postgres@/postgres?host={server.home}&port={server.port}"
    house = House()
    house.more["serve"] = ["--catalogue", url]
    try:
        with _running(house, lambda _: url) as found:
            yield found
    finally:
        server.close()


@contextmanager
def _running(house: House, url: Callable[[House], str]) -> Iterator[tuple[House, Database]]:
    try:
        (house.directory / "agent").mkdir(mode=0o700)
        for name in ("store", "serve"):
            house.start(name)
            house.wait_ready(name)
        database = Database(url(house))
        yield house, database
        database.close()
    finally:
        house.close()
