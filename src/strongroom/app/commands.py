"""The commands of the three processes, and what the command line borrows from other rooms.

strongroom store   the storage endpoint
strongroom serve   the control plane
strongroom agent   beside PostgreSQL
everything else    the command line (cli/), a client of the API
"""

import base64
import logging
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from strongroom.app.seams import SystemChance, SystemClock
from strongroom.model.listening import LOOPBACK, Listening, read_listening

KEK = "STRONGROOM_KEK"


def main() -> int:
    """The `strongroom` command."""
    # httpx would bring a command line of its own and all that draws it: a fifth of our start.
    sys.modules["httpx._main"] = None  # type: ignore[assignment]
    from strongroom.cli import main as cli

    app = _commands()
    return cli.run(app, sys.argv[1:], _means())


def _commands() -> Any:  # noqa: ANN401 - cyclopts' App
    from cyclopts import App

    from strongroom import __version__
    from strongroom.app.agent_set import agent_set
    from strongroom.cli import main as cli

    app = App(name="strongroom", version=__version__, help="A backup vault for PostgreSQL.")
    cli.build(app)
    app.command(serve, name="serve")
    app.command(store, name="store")
    agent = App(name="agent", help="The process beside PostgreSQL.")
    agent.command(agent_run, name="run")
    agent.command(agent_add, name="add")
    agent.command(agent_check, name="check")
    agent.command(agent_set, name="set")
    agent.command(agent_hooks, name="hooks")
    agent.command(agent_assertions, name="assertions")
    agent.command(agent_settings, name="settings")
    app.command(agent)
    app.command(wal_put, name="wal-put")
    return app


def _means() -> Any:  # noqa: ANN401 - cli.means.Means
    from strongroom.cli.means import Means

    return Means(
        clock=SystemClock(),
        chance=SystemChance(),
        install_tools=_install_tools,
        list_points=lambda *asked: _recovery().list_points(*asked),
        rescue=lambda *asked: _recovery().rescue(*asked),
        upgrade_catalogue=_upgrade_catalogue,
        rebuild=_rebuild,
        new_enrol_token=lambda *asked: _beside().new_enrol_token(*asked),
        reset_password=lambda *asked: _beside().reset_password(*asked),
        issue_certificate=_issue_certificate,
        make_kit=lambda *asked: _recovery().make_kit(*asked),
        make_recovery_key=lambda *asked: _recovery().make_recovery_key(*asked),
        public_of=lambda *asked: _recovery().public_of(*asked),
        check_evidence=_check_evidence,
    )


def _check_evidence(files: Sequence[Path], key: str) -> list[dict[str, Any]]:
    from strongroom.app.evidence import check_files

    return check_files(files, key)


def _recovery() -> Any:  # noqa: ANN401 - a room that takes long to enter
    from strongroom.app import recovery

    return recovery


def _beside() -> Any:  # noqa: ANN401 - another
    from strongroom.app import beside

    return beside


def _structured_logs() -> None:
    import structlog

    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def store(  # noqa: PLR0913 - an option each
    data: Path,
    *,
    account_key: Path,
    port: int = 0,
    host: str = LOOPBACK,
    certificate: Path | None = None,
    certificate_key: Path | None = None,
    reserve: int = 1 << 30,
    scrub_days: float = 30.0,
    scrub_rate: int = 32 << 20,
    accept_clock: bool = False,
    reader_key: Path | None = None,
    pull_from: str = "",
    pull_key: Path | None = None,
    pull_ca: Path | None = None,
    pull_keep_days: float = 14.0,
    back_end: Path | None = None,
) -> int:
    """Run the storage endpoint: an Azure-Blob-compatible server that only adds.

    On another host than the agents' it speaks https: `certificate` and `certificate-key` are the
    server.pem and server.key that `strongroom certificate` makes. `reserve` bytes of the disk no
    upload is given: deletes and the ledger live on them. Every byte is read again and compared
    once in `scrub-days` (0: never), at `scrub-rate` bytes a second at most. Locks do not end by a
    clock that has jumped: after more than a week at rest, see that it is right, and start once
    with `accept-clock`. Blobs lie in a bucket of S3 or Azure where `back-end` (TOML, mode 0600),
    or `back-end.toml` in the data directory, says so; the ledger stays here.

    A second copy on another host fills itself: `pull-from` is the first endpoint's
    http(s)://host:port/account, `pull-key` its `reader-key` (`reader.key` in its data directory),
    which reads and does nothing else, `pull-ca` (PEM) whom to trust there. What is gone there
    stays here `pull-keep-days`, and as long as a lock or hold of this store keeps it.

    Example: strongroom store --data /srv/vault --account-key /etc/strongroom/account.key
    """
    from strongroom.app.store_options import back_end_in, check_certificate, key_in, pull_of
    from strongroom.storage.server import run
    from strongroom.storage.settings import StoreSettings

    check_certificate(host, certificate, certificate_key)
    _structured_logs()
    settings = StoreSettings(
        root=data,
        account="strongroom",
        account_key=base64.b64decode(account_key.read_bytes()),
        host=host,
        port=port,
        tls_cert=certificate,
        tls_key=certificate_key,
        reserve_bytes=reserve,
        scrub_days=scrub_days,
        scrub_bytes_per_second=scrub_rate,
        accept_clock=accept_clock,
        reader_key=key_in(reader_key or data / "reader.key", needed=reader_key is not None),
        pull=pull_of(pull_from, pull_key, pull_ca, pull_keep_days),
        back_end=back_end_in(back_end or data / "back-end.toml", needed=back_end is not None),
    )
    run(settings, SystemClock(), SystemChance())
    return 0


def serve(  # noqa: PLR0913 - an option each
    data: Path,
    *,
    store_url: str,
    account_key: Path,
    store_ca: Path | None = None,
    port: int = 0,
    portal_port: int = 0,
    connection: Path | None = None,
    recovery_key: Path | None = None,
    agent_enrol: Path | None = None,
    catalogue: str = "",
    executor: str = "serve-1",
    host: str = LOOPBACK,
    name: list[str] | None = None,
    kek: list[str] | None = None,
    second_url: str = "",
    second_key: Path | None = None,
    second_ca: Path | None = None,
    accept_clock: bool = False,
) -> int:
    """Run the control plane: API, scheduler and durable workflows.

    `store-url` is the storage endpoint's http(s)://host:port/account; `store-ca` (PEM) is whom to
    trust there instead of the CA made here, and agents are told. `catalogue` is an SQLAlchemy
    URL (default: SQLite in the data directory). The first start makes keys, a CA, the recovery key
    and connection.json. Each `name` goes into the certificate; the first one is what agents are
    told. `kek` is what private keys are sealed under (default: kek.key in the data directory): a
    file, or `command:/path/to/program ARGUMENTS`, called with `wrap` or `unwrap` behind; the first
    seals, all open (STRONGROOM_KEK, with `;`). `second-url` is a copy at another endpoint. After
    a week at rest things end later, until `accept-clock` says that the clock is right.
    """
    from strongroom.app.memory import being_built

    with being_built():
        from strongroom.app.serve import ServeOptions
    from strongroom.app.store_options import key_in

    _structured_logs()
    second_url = second_url or os.environ.get("STRONGROOM_SECOND", "")
    options = ServeOptions(
        data=data,
        store_url=store_url,
        store_ca=store_ca,
        account_key=base64.b64decode(account_key.read_bytes()),
        port=port,
        portal_port=portal_port,
        connection=connection or data / "connection.json",
        recovery_key=recovery_key or data / "recovery.key",
        agent_enrol=agent_enrol,
        catalogue=catalogue,
        executor=executor,
        listening=read_listening(host, name or ()),
        second_url=second_url,
        second_key=key_in(second_key or data / "second.key", needed=bool(second_url)),
        second_ca=second_ca,
        accept_clock=accept_clock,
        kek=tuple(kek or filter(None, os.environ.get(KEK, "").split(";"))),
    )
    return _serve(options)


def _serve(options: Any) -> int:  # noqa: ANN401 - app.serve.ServeOptions
    from strongroom.app.serve import run_serve
    from strongroom.app.telemetry import traced
    from strongroom.durable.engine import leave

    with traced():
        run_serve(options, SystemClock(), SystemChance())
    leave()
    return 0


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

    _structured_logs()
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
    data: Path,
    source: Literal["auto", "stream", "disk"] = "auto",
    archive: Path | None = None,
    replace: bool = False,
) -> int:
    """Look after one more server; its connection string comes from standard input.

    `--source disk` insists on reading its files on this host, `--source stream` never does. With
    `--archive DIR` its log is not streamed, but taken from where `strongroom wal-put` puts it.
    """
    from strongroom.agent.commands import add_server

    add_server(data, name, sys.stdin, source=source, archive=archive, replace=replace)
    return 0


def wal_put(path: Path, name: str, *, spool: Path) -> int:
    """Hand a segment to the agent, for archive_command; 0 once the vault has it, else 1.

    Example: archive_command = 'strongroom wal-put "%p" "%f" --spool /var/spool/strongroom'
    """
    from strongroom.agent.wal.put import wal_put as put

    return put(path, name, spool, SystemClock())


def agent_check(name: str = "", *, data: Path | None = None, conninfo_stdin: bool = False) -> int:
    """Print what the agent sees of a server, as JSON: by NAME, or given on standard input."""
    from strongroom.agent.commands import check_server, facts_as_json
    from strongroom.postgres.check import look
    from strongroom.postgres.connect import Conninfo

    if conninfo_stdin:
        facts = look(Conninfo.parse(sys.stdin.read(4097)), name or "server")
    else:
        facts = check_server(data or Path(), name)
    print(facts_as_json(facts))  # noqa: T201 - its answer
    return 0


def agent_hooks(
    name: str = "", *, data: Path, pre: str = "", post: str = "", seconds: float = 60.0
) -> int:
    """Run commands of this host before and after each backup of a server, or of all without NAME.

    Without a shell; each may take `seconds`. A pre hook that fails fails the backup, a post hook
    that fails is a warning. With neither `pre` nor `post` there are none any more.

    Example: strongroom agent hooks orders --data DIR --pre "/usr/local/bin/quiesce orders"
    """
    from strongroom.agent.commands import set_hooks

    set_hooks(data, name, pre, post, seconds)
    return 0


def agent_assertions(name: str = "", *, data: Path, file: Path | None = None) -> int:
    """Set what drills of a server's points must find true, or of all servers without NAME.

    FILE holds queries, each ending with a semicolon, that answer one row, one column, true; `--
    name: ...` and `-- database: ...` speak of what follows. Without a file there are none.

    Example: strongroom agent assertions orders --data DIR --file orders.sql
    """
    from strongroom.agent.commands import set_assertions

    set_assertions(data, name, "" if file is None else file.read_text())
    return 0


def agent_settings(*, data: Path) -> int:
    """Print hooks, limits and bounds of this agent, as JSON."""
    from strongroom.agent.commands import own_settings, settings_as_json

    print(settings_as_json(own_settings(data)))  # noqa: T201 - its answer
    return 0


def _install_tools(major: int) -> Path:
    from strongroom.postgres.tools import install

    return install(major).directory


def _upgrade_catalogue(data: Path) -> list[str]:
    from strongroom.catalog.database import Database
    from strongroom.catalog.migrate import upgrade
    from strongroom.config import ServeFiles

    return upgrade(Database(f"sqlite:///{ServeFiles(data).catalogue}"))


def _rebuild(serve_directory: Path, *, kek: list[str], **asked: Any) -> dict[str, Any]:  # noqa: ANN401
    from strongroom.app.rebuild import rebuild

    _structured_logs()
    keks = kek or list(filter(None, os.environ.get(KEK, "").split(";")))
    return rebuild(serve_directory, kek=keks, **asked)


def _issue_certificate(data: Path, listening: Listening, to: Path) -> tuple[Path, Path]:
    from strongroom.config import ServeFiles

    names = listening.certificate_names(socket.gethostname())
    made = ServeFiles(data).issue(to, names, SystemClock())
    return made.certificate, made.key
