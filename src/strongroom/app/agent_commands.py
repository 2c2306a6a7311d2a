"""`strongroom agent ...`, and what an archive_command runs: commands of the agent's host."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Group, Parameter

from strongroom.app.logs import structured_logs
from strongroom.app.seams import SystemChance, SystemClock
from strongroom.model.errors import Precondition

Data = Annotated[
    Path | None,
    Parameter(help="Directory of the agent. Default: that of the installation on this host."),
]


def build(stands: dict[str, Any]) -> App:
    """The group of commands; `stands` is where the help lists it."""
    words = "The process beside PostgreSQL."
    agent = App(name="agent", help=words, group_commands=Group("Commands"), **stands)
    agent.command(agent_run, name="run")
    agent.command(agent_add, name="add")
    agent.command(agent_list, name="list")
    agent.command(agent_remove, name="remove")
    agent.command(agent_check, name="check")
    agent.command(agent_set, name="set")
    agent.command(agent_hooks, name="hooks")
    agent.command(agent_assertions, name="assertions")
    agent.command(agent_settings, name="settings")
    return agent


def _directory(data: Path | None) -> Path:
    """The agent's directory. Precondition where none was named, and this host has no other."""
    from strongroom.cli.basis.connection import data_directory
    from strongroom.cli.basis.means import COMMON, Common

    if data is not None:
        return data
    installation = os.environ.get("STRONGROOM_DATA")
    found = data_directory(Common(data=Path(installation)) if installation else COMMON) / "agent"
    if not found.is_dir():
        raise Precondition(f"there is no agent in {found}", hint="Name its directory: --data DIR.")
    return found


def agent_run(  # noqa: PLR0913 - an option each
    data: Path,
    *,
    control: str = "",
    ca: Path | None = None,
    enrol: Path | None = None,
    name: str = "agent",
    restore_root: list[Path] | None = None,
    scratch: Path | None = None,
) -> int:
    """Run the agent: it calls in, nobody calls it.

    `scratch` is where drills put a whole server for a while (default: `scratch` in the data
    directory, for root the system's temporary one).

    Example: strongroom agent run --data /var/lib/strongroom-agent --control https://vault:8443
    --ca ca.pem --enrol token
    """
    from strongroom.agent.commands import run_agent
    from strongroom.agent.settings import Settings
    from strongroom.app.memory import keep_what_is_built

    structured_logs()
    keep_what_is_built()
    # One thread reads the server while two compress: the reader must not wait for its turn.
    sys.setswitchinterval(0.0005)
    settings = Settings(
        data=data,
        name=name,
        control_url=control,
        ca_file=ca,
        enrol_token_file=enrol,
        restore_roots=tuple(restore_root or ()),
        scratch=scratch,
    )
    run_agent(settings, SystemClock(), SystemChance())
    return 0


def agent_add(
    name: str,
    *,
    data: Data = None,
    source: Literal["auto", "stream", "disk"] | None = None,
    archive: str | None = None,
    replace: bool = False,
) -> int:
    """Look after one more server; its connection string comes from standard input.

    Of a server that is known what is not given stays as it is.

    Example: strongroom agent add orders < conninfo.txt

    Parameters
    ----------
    source
        disk insists on reading its files on this host, stream never does, auto takes the disk
        where it can: so from the beginning.
    archive
        Its log is not streamed, but taken from this directory, where `strongroom wal-put` puts
        it; none: streamed, as from the beginning.
    replace
        Take this connection string, source and archive for a known name.
    """
    from strongroom.agent.commands import add_server

    spool = "" if archive == "none" else archive
    add_server(_directory(data), name, sys.stdin, source=source, archive=spool, replace=replace)
    print(f"the agent looks after {name}")  # noqa: T201 - its answer
    return 0


def agent_list(*, data: Data = None) -> int:
    """List the servers that the agent looks after."""
    from strongroom.agent.commands import list_servers

    for name in list_servers(_directory(data)):
        print(name)  # noqa: T201 - its answer
    return 0


def agent_remove(name: str, *, data: Data = None) -> int:
    """Look after a server no more, and forget its connection string.

    Its recovery points stay. Backups of one that is still protected fail from then on: stop or
    delete its protection first (strongroom stop, strongroom delete).
    """
    from strongroom.agent.commands import remove_server

    remove_server(_directory(data), name)
    print(f"the agent looks after {name} no more")  # noqa: T201 - its answer
    return 0


def wal_put(path: Path, name: str, *, spool: Path) -> int:
    """Hand a segment to the agent, for archive_command; 0 once the vault has it, else 1.

    Example: archive_command = 'strongroom wal-put "%p" "%f" --spool /var/spool/strongroom'
    """
    from strongroom.agent.wal.put import wal_put as put

    return put(path, name, spool, SystemClock())


def agent_check(name: str = "", *, data: Data = None, conninfo_stdin: bool = False) -> int:
    """Print what the agent sees of a server, as JSON: by NAME, or given on standard input."""
    from strongroom.agent.commands import check_server, facts_as_json
    from strongroom.postgres.backup.check import look
    from strongroom.postgres.server.connect import Conninfo

    if conninfo_stdin:
        facts = look(Conninfo.parse(sys.stdin.read(4097)), name or "server")
    else:
        facts = check_server(_directory(data), name)
    print(facts_as_json(facts))  # noqa: T201 - its answer
    return 0


def agent_hooks(
    name: str = "", *, data: Data = None, pre: str = "", post: str = "", seconds: float = 60.0
) -> int:
    """Run commands of this host before and after each backup of a server, or of all without NAME.

    Without a shell; each may take `seconds`. A pre hook that fails fails the backup, a post hook
    that fails is a warning. With neither `pre` nor `post` there are none any more.

    Example: strongroom agent hooks orders --pre "/usr/local/bin/quiesce orders"
    """
    from strongroom.agent.commands import set_hooks

    set_hooks(_directory(data), name, pre, post, seconds)
    return 0


def agent_assertions(name: str = "", *, data: Data = None, file: Path | None = None) -> int:
    """Set what drills of a server's points must find true, or of all servers without NAME.

    FILE holds queries, each ending with a semicolon, that answer one row, one column, true; `--
    name: ...` and `-- database: ...` speak of what follows. Without a file there are none.

    Example: strongroom agent assertions orders --file orders.sql
    """
    from strongroom.agent.commands import set_assertions

    set_assertions(_directory(data), name, "" if file is None else file.read_text())
    return 0


def agent_settings(*, data: Data = None) -> int:
    """Print hooks, limits and bounds of this agent, as JSON."""
    from strongroom.agent.commands import own_settings, settings_as_json

    print(settings_as_json(own_settings(_directory(data))))  # noqa: T201 - its answer
    return 0


def agent_set(
    *,
    data: Data = None,
    bandwidth: str | None = None,
    refuse: str | None = None,
    storage: str | None = None,
    targets: str | None = None,
) -> int:
    """Say on the agent's host what it does not do for its control plane, and how fast it sends.

    Lists have commas; `none` empties one. What is not given stays.

    Example: strongroom agent set --refuse in-place,load
        --storage https://store.example.com:8445 --bandwidth 50MiB/s

    Parameters
    ----------
    bandwidth
        Of all backups of this agent together, into storage; none: no limit.
    refuse
        Kinds of orders: backup, stream, restore, in-place, start, files (on this host), send
        (files into a container or a bucket), load (into a server), drill.
    storage
        URLs beneath which alone packs and log are put and read; none: wherever it says.
    targets
        URLs beneath which alone files of a point, or of a server, are left; none: anywhere.
    """
    from strongroom.agent.bounds import bounded
    from strongroom.agent.commands import set_bandwidth
    from strongroom.agent.own_settings import OwnSettingsFile
    from strongroom.agent.settings import Settings

    if bandwidth is not None:
        set_bandwidth(_directory(data), bandwidth)
    lists = {"refuse": refuse, "storage": storage, "targets": targets}
    asked = {name: _words(text) for name, text in lists.items() if text is not None}
    OwnSettingsFile(Settings(data=_directory(data)).own_file).change(
        lambda known: bounded(known, asked)
    )
    return 0


def _words(text: str) -> list[str]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    return [] if words == ["none"] else words
