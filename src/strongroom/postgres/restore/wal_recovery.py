"""Recovery of a data directory beyond its backup's end, through log that lies beside it.

The log is put into a directory of its own within the data directory, whole segments under their
names. PostgreSQL asks for them through a shell script that knows the plan's list: what is not in
the list does not exist (1); what is in it and cannot be had stops recovery (255), for an outage
must never look like the end of the log, where a server promotes. The settings of the recovery lie
in the same directory, which goes at its end.
Source: PostgreSQL manual, "Archive Recovery", restore_command; xlogarchive.c: exits above 125 and
signals stop recovery.
"""

import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from strongroom.model.errors import TargetError, TargetFull
from strongroom.model.postgres import Lsn, Timeline
from strongroom.model.wal import IMMEDIATE, Recovery
from strongroom.postgres.log.walstream import segment_name
from strongroom.postgres.server import scratch

PLACE = "strongroom_wal"
STANDBY_SIGNAL = "standby.signal"
WAIT_SECONDS = 900  # for a segment that is on its way
_STATUS = 7  # line of postmaster.pid, from 0
_LOOK_SECONDS = 0.1
_SEGMENT = re.compile(r"[0-9A-F]{24}")
_INCLUDE = f"include_if_exists = '{PLACE}/settings.conf'\n"
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_SCRIPT = f"""#!/bin/sh
# For the restore_command of a strongroom restore, whose shell reads it: NAME TARGET. Its exits are
# a promise: 0 the file is there; 44 it is not in the plan, so it does not exist; others stop it.
# Every program that it starts is a millisecond or more, of which replay has none to give away.
d={PLACE}
#SAME-BOOT#
if [ ! -f "$d/$1" ]; then
#TAKEN#
  grep -qxF -- "$1" "$d/list"
  case $? in 0) ;; 1) exit 44 ;; *) exit 255 ;; esac
fi
printf '%s\\n' "$1" > "$d/asked" || exit 255
n=0
until [ -f "$d/$1" ]; do
  if [ -e "$d/failed" ] || [ -e "$d/complete" ]; then
    [ -f "$d/$1" ] && break
    exit 255
  fi
  n=$((n + 1))
  [ "$n" -gt {WAIT_SECONDS * 20} ] && exit 255
  sleep 0.05 || exit 255
done
ln -f -- "$d/$1" "$2" 2>/dev/null || {{ rm -f -- "$2" && cp -- "$d/$1" "$2"; }} || exit 255
exit 0
"""
# PostgreSQL begins the first timeline of which it finds no history, and asks for no more of those
# beyond its target: numbers that others have, or are about to have, are not free.
_TAKEN = """\
  case "$1" in *.history)
    n=$((0x${1%.history}))
    if [ "$n" -gt AFTER ] && [ "$n" -lt BEGINS ]; then
      : > "$2" || exit 255
      exit 0
    fi ;;
  esac"""
# Segments that are not synced are worth nothing once this machine has gone down.
_SAME_BOOT = f'read -r boot < {_BOOT} && [ "$boot" = "BOOT" ] || exit 255'
_FOLLOW = f"""#!/bin/sh
# The same for a standby, which asks again: what is not there now (44) may come.
d={PLACE}
[ -f "$d/$1" ] || exit 44
printf '%s\\n' "$1" > "$d/asked" || exit 255
ln -f -- "$d/$1" "$2" 2>/dev/null || {{ rm -f -- "$2" && cp -- "$d/$1" "$2"; }} || exit 255
exit 0
"""
# What a shell says of its own, such as 2 for a script that is gone, must not reach PostgreSQL.
_COMMAND = (
    f'(set -- "%f" "%p"; . {PLACE}/get); '
    "case $? in 0) exit 0;; 44) exit 1;; 143) exit 143;; *) exit 255;; esac"
)
# The settings go, and the server reads what its owner has set: from then on that holds again.
_END = f"rm -rf {PLACE}; kill -HUP $(head -n 1 postmaster.pid)"
_LIBRARIES_SINCE = 15
_TARGETS = {
    "time": "recovery_target_time",
    "lsn": "recovery_target_lsn",
    "xid": "recovery_target_xid",
    "name": "recovery_target_name",
}


def settings_of(recovery: Recovery, major: int) -> dict[str, str]:
    """PostgreSQL's settings. hot_standby off: where the source was given more connections since,

    a standby that answers would wait for a person to do the same here. Nothing is archived, and
    nothing removed from an archive, while it recovers, whatever its owner has set. Nor does it
    wait as its owner's standbys do, nor stop where an earlier recovery of theirs did.
    """
    settings = {"restore_command": _COMMAND, "archive_command": "", "archive_cleanup_command": ""}
    settings |= {"recovery_min_apply_delay": "0", "recovery_target": ""}
    # Before the one that is asked for: PostgreSQL reads them in order, and refuses a second.
    settings |= {name: "" for kind, name in _TARGETS.items() if kind != recovery.kind}
    if major >= _LIBRARIES_SINCE:
        settings["archive_library"] = ""
    if recovery.follow:
        settings["recovery_target_timeline"] = "latest"
        return {**settings, "hot_standby": "on", "wal_retrieve_retry_interval": "1s"}
    # No target: the log of a point may end with the very record that makes it consistent, and
    # PostgreSQL looks for `immediate` at the next one. It begins a timeline of its own anyway.
    ends_itself = recovery.kind == IMMEDIATE
    settings["recovery_target_timeline"] = "current" if ends_itself else str(recovery.timeline)
    if recovery.kind in _TARGETS:
        settings[_TARGETS[recovery.kind]] = recovery.value
        settings["recovery_target_action"] = "promote"
    return {
        **settings,
        "recovery_target_inclusive": "on" if recovery.inclusive else "off",
        "recovery_end_command": _END,
        "hot_standby": "off",
    }


def segments_of(recovery: Recovery) -> list[str]:
    """Every segment of the plan, in the order in which it is replayed."""
    size = recovery.segment_size
    return [
        segment_name(Timeline(timeline), Lsn(at), size)
        for timeline, start, end in recovery.timelines
        for at in range(start - start % size, end, size)
    ]


def await_recovered(
    data_directory: Path, pause: Callable[[float], None], *, follows: bool = False
) -> None:
    """Until the server that was started there has recovered: pg_ctl waits for consistency alone.

    `follows`: it is a standby, which is ready long before, and has recovered when it is promoted.
    `pause` waits, and may raise. Raises TargetError with its last words when it stopped.
    Source: PostgreSQL src/include/utils/pidfile.h, the eighth line; the end of recovery removes
    standby.signal (src/backend/access/transam/xlog.c, StartupXLOG).
    """
    signal = data_directory / STANDBY_SIGNAL
    while True:
        try:
            lines = (data_directory / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError as error:
            words = " | ".join(scratch.last_words(data_directory))
            raise TargetError(
                f"recovery stopped in {data_directory}: {words}",
                hint=f"See {scratch.start_log(data_directory)}.",
            ) from error
        is_ready = len(lines) > _STATUS and lines[_STATUS].strip() == "ready"
        if is_ready and not (follows and signal.exists()):
            return
        pause(_LOOK_SECONDS)


class LogPlace:
    """The directory of the log in a data directory; `lay` makes it, one thread fills it.

    `lasting`: what is put must outlive a loss of power. Else segments are not synced, and a server
    that is started after one is told that recovery cannot go on.
    """

    def __init__(self, data_directory: Path, *, lasting: bool = True) -> None:
        self._lasting = lasting or not _BOOT.exists()
        self.directory = data_directory / PLACE
        self._data = data_directory
        self._user = scratch.server_user(data_directory)

    def lay(self, recovery: Recovery, *, configure: bool = True) -> None:
        """Script, list, settings, histories and the signal file. Safe twice.

        `configure`: the settings are included at the end of postgresql.auto.conf.
        """
        try:
            self.remove()
            self.directory.mkdir(mode=0o700)
            self._give(self.directory)
            histories = {
                f"{int(timeline):08X}.history": text
                for timeline, text in recovery.histories.items()
            }
            for name, text in histories.items():
                self._write(self.directory / name, text.encode())
            if recovery.follow:
                self._write(self.directory / "get", _FOLLOW.encode())
            else:
                names = [*segments_of(recovery), *histories]
                self._write(self.directory / "list", "".join(f"{n}\n" for n in names).encode())
                self._write(self.directory / "get", self._script(recovery).encode())
            lines = _lines(settings_of(recovery, self._major()))
            self._write(self.directory / "settings.conf", lines.encode())
            if configure:
                self._include()
            signal = STANDBY_SIGNAL if recovery.follow else "recovery.signal"
            self._write(self._data / signal, b"")
            for place in (self.directory, self._data):
                _sync(place)
        except OSError as error:
            raise _refused(error, self.directory) from error

    def put(self, name: str, content: bytes | memoryview) -> None:
        """A whole segment, synced before it has its name if it is to last.

        FileNotFoundError: all is over.
        """
        beside = self.directory / f"{name}.new"
        try:
            with beside.open("wb") as file:
                os.fchmod(file.fileno(), 0o600)  # the server gets it as it is
                file.write(content)
                if self._lasting:
                    file.flush()
                    os.fsync(file.fileno())
            self._give(beside)
            beside.rename(self.directory / name)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise _refused(error, self.directory) from error

    def put_history(self, timeline: int, text: str) -> None:
        """A standby that looks for it goes on with that timeline."""
        self.put(f"{timeline:08X}.history", text.encode())

    def end(self, word: str) -> None:
        """`complete`: nothing more comes; `failed`: recovery must stop."""
        if self.directory.exists():
            self._write(self.directory / word, b"")

    @property
    def exists(self) -> bool:
        """Recovery takes the directory away at its end."""
        return self.directory.exists()

    def ahead(self) -> int:
        """How many segments lie here; those that were asked for long ago are let go."""
        names = sorted(each.name for each in self.directory.iterdir())
        names = [name for name in names if _SEGMENT.fullmatch(name)]
        try:
            asked = (self.directory / "asked").read_text().strip()
        except FileNotFoundError:
            return len(names)
        # A segment is asked for again on the next timeline, and where a record spans two of them.
        old = [name for name in names if name[8:] < asked[8:]]
        for name in old[:-2]:
            (self.directory / name).unlink(missing_ok=True)
        return len(names) - len(old)

    def remove(self) -> None:
        """Take it away, with all that is in it."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def _major(self) -> int:
        return int((self._data / "PG_VERSION").read_text().strip())

    def _include(self) -> None:
        path = self._data / "postgresql.auto.conf"
        before = path.read_text() if path.exists() else ""
        if not before.endswith(_INCLUDE):
            self._write(path, (before + _INCLUDE).encode())

    def _script(self, recovery: Recovery) -> str:
        check = "" if self._lasting else _SAME_BOOT.replace("BOOT", _BOOT.read_text().strip())
        taken = _TAKEN.replace("AFTER", str(recovery.timeline))
        taken = taken.replace("BEGINS", str(recovery.begins))
        return _SCRIPT.replace("#SAME-BOOT#", check).replace("#TAKEN#", taken)

    def _write(self, path: Path, content: bytes) -> None:
        """Synced: a script or a signal file that is empty or gone would end recovery too early."""
        with path.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        path.chmod(0o600)
        self._give(path)

    def _give(self, path: Path) -> None:
        if os.geteuid() == 0:
            os.chown(path, self._user.uid, self._user.gid)


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _lines(settings: Mapping[str, str]) -> str:
    quoted = ((name, value.replace("'", "''")) for name, value in settings.items())
    return "".join(f"{name} = '{value}'\n" for name, value in quoted)


def _refused(error: OSError, place: Path) -> TargetError:
    kind = TargetFull if error.errno == 28 else TargetError
    return kind(f"the log cannot be written to {place}: {error.strerror}")
