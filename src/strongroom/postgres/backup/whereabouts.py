"""Whether a server's files lie on this very host, where the agent may read them."""

import os
from contextlib import closing
from pathlib import Path

from strongroom.model.errors import SourceRefused
from strongroom.model.postgres import major_of
from strongroom.postgres.backup.data_directory import CONTROL, DataDirectory
from strongroom.postgres.backup.local import ControlFile
from strongroom.postgres.backup.low_level import Place, functions_of, place_of
from strongroom.postgres.server.connect import Conninfo, session
from strongroom.postgres.server.refusals import quote_name

_TRIES = 3  # a checkpoint may end between our two looks
_MOST_START_SECONDS = 600  # from a postmaster's start to its first connection
_STREAM = "Or leave it to the stream: strongroom agent add NAME --source stream --replace."
_ON_ITS_HOST = "Run the agent on the server's host."
REMEDY = "remedy"  # among the error's facts: what lets the disk be read, without the other way


def data_directory_of(conninfo: Conninfo) -> Path:
    """The data directory, proved to be that server's. Raises as `place_here` does."""
    return Path(place_here(conninfo).data_directory)


def place_here(conninfo: Conninfo) -> Place:
    """Where the server lies on this host, proved to be that server's place, and readable.

    Raises SourceRefused saying why it cannot be read here and what to do; else as `connect` does.
    """
    with session(conninfo) as server:
        major = major_of(server.version_number)
        for _ in range(_TRIES):
            place = place_of(server, major)
            _check_rights(place, major)
            if _lies_here(place):
                return place
    raise _refused(
        f"data_directory of the server at {conninfo.endpoint} is another server's on this host"
    )


def _check_rights(place: Place, major: int) -> None:
    user = quote_name(place.user)
    wanted = []
    if not place.data_directory:
        wanted.append(f"GRANT pg_read_all_settings TO {user};")
    if not place.may_hold:
        wanted += [f"GRANT EXECUTE ON FUNCTION {f} TO {user};" for f in functions_of(major)]
    if wanted:
        raise _refused(
            f"the role {place.user} may not hold a backup open and read the disk meanwhile",
            "Run as a superuser, in the database that the agent connects to: " + " ".join(wanted),
        )


def _lies_here(place: Place) -> bool:
    directory = Path(place.data_directory)
    try:
        with closing(DataDirectory(directory)) as tree:
            control = ControlFile(tree.read(CONTROL))
            lines = tree.read("postmaster.pid").split(b"\n")
            _check_readable(tree)
    except FileNotFoundError as error:
        raise _refused(f"{directory} is not on this host, or no server runs in it") from error
    started = 0 <= place.started_at - int(lines[2]) + 1 <= _MOST_START_SECONDS
    return (
        started
        and int(lines[3]) == place.port
        and control.identifier == place.system_identifier
        and control.checkpoint == place.checkpoint
    )


def _check_readable(tree: DataDirectory) -> None:
    """Group access lets us read all but what somebody has made private, a key for instance."""
    if os.geteuid() in {0, tree.path.stat().st_uid}:
        return
    for entry in tree.entries():
        if entry.kind not in {"directory", "link"} and not entry.mode & 0o044:
            raise _refused(
                f"the agent may not read {tree.path / entry.path}",
                "Run the agent as the server's own user.",
            )


def _refused(why: str, remedy: str = _ON_ITS_HOST) -> SourceRefused:
    return SourceRefused(why, hint=f"{remedy} {_STREAM}", facts={REMEDY: remedy})
