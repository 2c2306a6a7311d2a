"""Who is at the other end of a replication connection, and what a copy of it depends on."""

from dataclasses import dataclass

from strongroom.model.errors import SourceUnsupported
from strongroom.model.postgres import PAGE, SystemIdentifier, Timeline
from strongroom.postgres.server.asked import show, show_bytes
from strongroom.postgres.server.replication import Replication


@dataclass(frozen=True, slots=True)
class System:
    """IDENTIFY_SYSTEM, and the settings that a copy depends on."""

    identifier: SystemIdentifier
    timeline: Timeline
    version_number: int  # server_version_num
    wal_segment_size: int  # bytes
    checksums: bool


def identify(server: Replication) -> System:
    """Who is at the other end. Raises SourceUnsupported for an odd block size."""
    row = server.rows("IDENTIFY_SYSTEM", "identifying itself")[0]
    block_size = int(show(server, "block_size"))
    if block_size != PAGE:
        raise SourceUnsupported(
            f"the server's block size is {block_size}",
            hint=f"Only {PAGE}, PostgreSQL's default, can be backed up.",
        )
    return System(
        identifier=SystemIdentifier(int(row[0])),
        timeline=Timeline(int(row[1])),
        version_number=server.version_number,
        wal_segment_size=show_bytes(server, "wal_segment_size"),
        checksums=show(server, "data_checksums") == "on",
    )
