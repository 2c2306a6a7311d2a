"""strongroom as it is installed: store, serve and agent as processes, asked by Azure's SDK."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from azure.mgmt.dataprotection.models import OperationJobExtendedInfo

from journey.cloud import Cloud, ended_job, protect, protect_also, restore_request
from journey.world import House

_PATIENCE = 600.0
_LOOK = 0.25  # seconds: to look costs a processor that those who are measured share


class Ours:
    """A house with one vault."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.cloud = Cloud(house)
        self._servers = 0
        self.fetched = 0  # bytes that the last restore asked of storage

    def protect(self, name: str, conninfo: str, source: str = "auto") -> None:
        """Look after a server, read in that way."""
        if self._servers:
            protect_also(self.cloud, self.house, name, conninfo, source)
        else:
            protect(self.cloud, self.house, name, conninfo, source)
        self._servers += 1

    def back_up(self, name: str, **wish: str | bool) -> float:
        """A backup; seconds to its commit. `wish`: our words beside Azure's (full, backupType)."""
        options = {"ruleName": "BackupWeekly", "strongroom": wish}
        return self._ended(
            lambda: self.cloud.backup.backup_instances.begin_adhoc_backup(
                self.cloud.group, self.cloud.vault, f"{name}-inst", {"backupRuleOptions": options}
            ).result()
        )

    def points(self, name: str) -> list[str]:
        """The newest first."""
        return [str(point.name) for point in self.cloud.points(f"{name}-inst")]

    def kinds(self, name: str) -> list[str]:
        """How many points there are of each kind, as words."""
        found = Counter(
            str(point.properties.recovery_point_type)
            for point in self.cloud.points(f"{name}-inst")
        )
        return [f"{number} {kind}" for kind, number in found.items()]

    def newest_kind(self, name: str) -> str:
        """Full, Incremental or Logical."""
        return str(self.cloud.points(f"{name}-inst")[0].properties.recovery_point_type)

    def restore(self, name: str, point: str, target: Path | str) -> float:
        """The whole point as a new data directory; seconds. `target` may end in ?start=true."""
        wish = restore_request(self.cloud, point, target)
        wish.restore_target_info.datasource_info.resource_id = self.cloud.scope(name)
        return self._ended(lambda: self.cloud.restore(f"{name}-inst", wish))

    def dump_table(self, name: str, point: str, table: str, directory: Path) -> float:
        """A dump of one table of the database `postgres`, left in a directory; seconds."""
        wish = restore_request(self.cloud, point, directory)
        part = {"database": "postgres", "table": table}
        ours = {"targetDirectory": str(directory), "part": part}
        wish.restore_target_info["strongroom"] = ours
        return self._ended(lambda: self.cloud.restore(f"{name}-inst", wish))

    def _ended(self, ask: Callable[[], OperationJobExtendedInfo]) -> float:
        """Seconds from asking to the end of the job, which is looked for four times a second."""
        begun = datetime.now(UTC)
        asked = ask()
        job = ended_job(self.cloud, asked, _PATIENCE, every=_LOOK).properties
        assert job.status == "Completed", job.error_details
        assert job.end_time is not None
        told = [task.additional_details or {} for task in job.extended_info.sub_tasks or []]
        self.fetched = max((int(each.get("StoredBytes", 0)) for each in told), default=0)
        return float((job.end_time - begun).total_seconds())

    def forget_peak(self) -> None:
        """The peak of the agent's memory begins anew. Source: proc(5), clear_refs."""
        (self._agent / "clear_refs").write_text("5")

    @property
    def peak_mib(self) -> float:
        """The most that the agent held since. Source: proc(5), VmHWM."""
        for line in (self._agent / "status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
        raise AssertionError("the kernel tells no peak")

    @property
    def _agent(self) -> Path:
        return Path(f"/proc/{self.house.proc.pids()['agent']}")

    def stored(self) -> int:
        """Bytes of every object in storage."""
        return size_of(self.house.directory / "store" / "strongroom")


def size_of(directory: Path) -> int:
    """Bytes of all files beneath."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


@contextmanager
def a_house() -> Iterator[Ours]:
    """Within: it runs."""
    house = House()
    try:
        house.start_all()
        yield Ours(house)
    finally:
        house.close()
