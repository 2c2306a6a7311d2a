"""Where each second goes in a full backup, an increment and a restore, and what limits them.

The agent runs with a sampler (sampling.py). The CPU time of every process and of the whole machine
and the bytes that moved to and from disk are the kernel's counts over the same seconds.
"""

import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from bench.incremental import TRANSACTIONS
from bench.ours import Ours
from bench.peers import a_directory
from bench.results import Told, table
from bench.workload import fill, run, timed

from integration.servers import Server, own, start_server
from journey.world import House, until

_TICKS = os.sysconf("SC_CLK_TCK")
INCREMENT = f"Increment after {TRANSACTIONS:,} transactions"
_BUSY = 0.85  # of the machine, from which on nothing but the processors is waited for
_LINES = 12  # of the table of lines


class SampledHouse(House):
    """Its agent writes down what it does."""

    def command(self, name: str) -> list[str]:
        """As a house's, through the sampler for the agent."""
        words = super().command(name)
        if name != "agent":
            return words
        return [sys.executable, "-m", "bench.sampling", str(self.samples), *words[3:]]

    @property
    def samples(self) -> Path:
        """Where they go."""
        return self.directory / "samples.json"

    def take_samples(self) -> list[list[object]]:
        """Those since the last time."""
        self.samples.unlink(missing_ok=True)
        os.kill(self.proc.pids()["agent"], signal.SIGUSR1)
        until("the samples", self.samples.exists)
        found: list[list[object]] = json.loads(self.samples.read_text())
        return found


def measure(gigabytes: float) -> Told:
    """One operation of each kind, after one that warmed up."""
    house = SampledHouse()
    try:
        with (
            start_server(18, summarize_wal="on", max_wal_size="8GB") as server,
            a_directory() as root,
        ):
            own(root)
            size = fill(server, gigabytes)
            house.start_all()
            ours = Ours(house)
            ours.protect("streamed", server.conninfo, "stream")
            ours.protect("from-disk", server.conninfo, "disk")
            ours.back_up("streamed", full=True)
            lines = [f"PostgreSQL 18, {size / 1e9:.2f} GB of databases.", ""]
            for title, act in _acts(ours, root).items():
                if title == INCREMENT:
                    run(server, "pgbench", "-n", "-c", "2", "-t", str(TRANSACTIONS // 2))
                    server.sql("checkpoint")
                lines += _profile(title, act, house, server)
            return Told(title="Where each second goes", text=lines)
    finally:
        house.close()


def _acts(ours: Ours, root: Path) -> dict[str, Callable[[], object]]:
    def restore() -> None:
        ours.restore("from-disk", ours.points("from-disk")[0], root / "restored")

    return {
        "Full backup, streamed": lambda: ours.back_up("streamed", full=True),
        "Full backup, from disk": lambda: ours.back_up("from-disk", full=True),
        INCREMENT: lambda: ours.back_up("from-disk"),
        "Restore": restore,
    }


def _profile(
    title: str, act: Callable[[], object], house: SampledHouse, server: Server
) -> list[str]:
    os.sync()
    house.take_samples()
    before, disk = _processes(house, server), _disk_bytes()
    seconds = timed(act)
    after = _processes(house, server)
    spent = {name: after[name] - before[name] for name in before}
    moved = [(now - was) / 1e6 for was, now in zip(disk, _disk_bytes(), strict=True)]
    samples = house.take_samples()
    names = ("agent", "store", "serve", "postgres")
    cpu = ", ".join(f"{name} {spent[name]:.2f}" for name in names)
    cores = os.cpu_count() or 1
    return [
        f"### {title}: {seconds:.2f} s",
        "",
        f"CPU seconds: {cpu}; the whole machine {spent['all']:.2f} of {cores * seconds:.2f} "
        f"({spent['all'] / cores / seconds:.0%}). Disk: {moved[0]:.0f} MB read, "
        f"{moved[1]:.0f} MB written.",
        "",
        _limit(spent["all"] / cores / seconds, moved[1] / seconds),
        "",
        *table(["thread", "where", "what", "ran s", "stood s"], _busiest(samples)),
        "",
    ]


def _limit(busy: float, written: float) -> str:
    """What a faster one would have to be, in words; `written`: MB a second."""
    if busy >= _BUSY:
        return "The limit is the processors: what ran longest below is what can be made cheaper."
    return (
        f"The processors stood still for {1 - busy:.0%} of it, with {written:.0f} MB/s written: "
        "the limit is what the threads below stood for (the disk, the wire, or one another)."
    )


def _busiest(samples: list[list[object]]) -> list[list[str]]:
    """The lines that ran longest."""
    ran: Counter[tuple[str, ...]] = Counter()
    stood: Counter[tuple[str, ...]] = Counter()
    for thread, file, function, source, running, standing in samples:
        place = (str(thread), f"{file}:{function}", str(source))
        ran[place] += float(str(running))  # type: ignore[assignment]
        stood[place] += float(str(standing))  # type: ignore[assignment]
    return [
        [thread, where, f"`{what[:70].replace('|', '/')}`", f"{found:.2f}", f"{stood[place]:.2f}"]
        for place, found in ran.most_common(_LINES)
        for thread, where, what in [place]
    ]


def _processes(house: House, server: Server) -> dict[str, float]:
    """CPU seconds up to now, by process, and of the whole machine ("all")."""
    found = {name: _cpu_of(pid) for name, pid in house.proc.pids().items()}
    found["postgres"] = _cpu_of(server.pid)
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    busy = [int(field) for number, field in enumerate(fields[:8]) if number not in {3, 4}]
    return {**found, "all": sum(busy) / _TICKS}


def _cpu_of(pid: int) -> float:
    """Its own, and that of its children, those that have ended too. Source: proc(5), stat."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return sum(int(field) for field in fields[11:15]) / _TICKS + sum(
        _cpu_of(int(child)) for child in children
    )


def _disk_bytes() -> tuple[int, int]:
    """(read, written) by the machine. Source: /proc/vmstat, KiB."""
    told = dict(line.split() for line in Path("/proc/vmstat").read_text().splitlines())
    return int(told["pgpgin"]) << 10, int(told["pgpgout"]) << 10
