"""A backup held open by SQL, while somebody else copies the files.

Source: PostgreSQL manual, "Making a Base Backup Using the Low Level API": pg_backup_start and
pg_backup_stop since 15, pg_start_backup and pg_stop_backup (non-exclusive) in 14. The session that
began it must stay open: when it ends, however that comes about, the server forgets the backup.
"""

from dataclasses import dataclass

from strongroom.model.errors import Corrupt, Invalid, SourceStopped, SourceUnsupported
from strongroom.model.postgres import PAGE, Lsn, SystemIdentifier, Timeline, lsn_from_text
from strongroom.postgres.backup.basebackup import CHECKPOINT_SECONDS, SPREAD_SECONDS
from strongroom.postgres.server.replication import Replication
from strongroom.postgres.server.system import System
from strongroom.postgres.wire.backup_label import parse_backup_label

_FACTS = """
select (select setting from pg_settings where name = 'data_directory'),
       has_function_privilege('{start}', 'execute')
       and has_function_privilege('{stop}', 'execute'),
       s.system_identifier, c.checkpoint_lsn, extract(epoch from pg_postmaster_start_time()),
       current_setting('port'), current_user
from pg_control_system() s, pg_control_checkpoint() c
"""
_SYSTEM = """
select s.system_identifier, c.timeline_id,
       (select setting from pg_settings where name = 'wal_segment_size'),
       current_setting('data_checksums'), current_setting('block_size')
from pg_control_system() s, pg_control_checkpoint() c
"""
_POSITION = """
select case when pg_is_in_recovery()
       then greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
       else pg_current_wal_insert_lsn() end
"""
_STOP = "select lsn, labelfile, spcmapfile from pg_backup_stop(false)"
_STOP_14 = "select lsn, labelfile, spcmapfile from pg_stop_backup(false, false)"
_STARTING = "starting the backup"
_STOPPING = "ending the backup"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server says that it lies, and what tells it from a copy of itself."""

    data_directory: str  # empty when the role may not know
    may_hold: bool  # whether the role may begin and end a backup
    system_identifier: SystemIdentifier
    checkpoint: Lsn
    started_at: float  # seconds since 1970
    port: int
    user: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """What ends a backup: `backup_label` and, with tablespaces, `tablespace_map`."""

    lsn: Lsn
    label: bytes
    tablespace_map: bytes


def functions_of(major: int) -> tuple[str, str]:
    """The two functions with their arguments' types, as GRANT EXECUTE takes them."""
    if major >= 15:
        return "pg_backup_start(text, boolean)", "pg_backup_stop(boolean)"
    return "pg_start_backup(text, boolean, boolean)", "pg_stop_backup(boolean, boolean)"


def place_of(server: Replication, major: int) -> Place:
    """Ask the server where it lies."""
    start, stop = functions_of(major)
    row = server.rows(_FACTS.format(start=start, stop=stop), "asking where its files lie")[0]
    return Place(
        data_directory=row[0].decode("utf-8", "surrogateescape"),
        may_hold=row[1] == b"t",
        system_identifier=SystemIdentifier(int(row[2])),
        checkpoint=lsn_from_text(row[3].decode()),
        started_at=float(row[4]),
        port=int(row[5]),
        user=row[6].decode(errors="replace"),
    )


class LowLevelBackup:
    """One backup on one ordinary session. Closing the session gives it up."""

    def __init__(self, server: Replication, major: int) -> None:
        self._server = server
        self._old = major < 15

    def start(self, label: str, *, fast: bool = True) -> Lsn:
        """Begin: a checkpoint, at once if `fast` -> where recovery begins."""
        if not label.isprintable() or not 1 <= len(label) <= 200:
            raise Invalid("a backup's label is 1 to 200 printable characters")
        quoted, speed = label.replace("'", "''"), "true" if fast else "false"
        call = f"pg_start_backup('{quoted}', {speed}, false)"
        if not self._old:
            call = f"pg_backup_start('{quoted}', {speed})"
        self._server.begin(f"select {call}")
        patience = CHECKPOINT_SECONDS if fast else SPREAD_SECONDS
        found = self._server.next_rows(_STARTING, patience)[0][0]
        self._server.settle(_STARTING)
        return lsn_from_text(found.decode())

    def system(self) -> System:
        """Who it is; the timeline is that of the checkpoint which the backup begins at."""
        row = [field.decode() for field in self._server.rows(_SYSTEM, "looking at it")[0]]
        if int(row[4]) != PAGE:
            raise SourceUnsupported(
                f"the server's block size is {row[4]}",
                hint=f"Only {PAGE}, PostgreSQL's default, can be backed up.",
            )
        return System(
            identifier=SystemIdentifier(int(row[0])),
            timeline=Timeline(int(row[1])),
            version_number=self._server.version_number,
            wal_segment_size=int(row[2]),
            checksums=row[3] == "on",
        )

    def position(self) -> Lsn:
        """How far the write-ahead log has come: no page can have been changed beyond it."""
        return lsn_from_text(
            self._server.rows(_POSITION, "asking for its position")[0][0].decode()
        )

    def stop(self, start: Lsn, timeline: Timeline) -> Stopped:
        """End. Raises SourceStopped when the label is not of the backup that began so."""
        row = self._server.rows(_STOP_14 if self._old else _STOP, _STOPPING)[0]
        found = Stopped(lsn_from_text(row[0].decode()), row[1], row[2])
        try:
            label = parse_backup_label(found.label)
        except Corrupt as error:
            raise SourceStopped("the server ended the backup without its label") from error
        if (label.start, label.timeline) != (start, timeline):
            raise SourceStopped(
                "the server has changed its timeline since the backup began",
                hint="It is tried again; a promotion does this.",
            )
        return found
