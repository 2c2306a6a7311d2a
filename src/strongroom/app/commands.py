"""The commands of the three processes, and what the command line borrows from other rooms.

strongroom store   the storage endpoint
strongroom serve   the control plane
strongroom agent   beside PostgreSQL
everything else    the command line (cli/), a client of the API
"""

import base64
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from strongroom.app.logs import structured_logs
from strongroom.app.seams import SystemChance, SystemClock
from strongroom.model.listening import LOOPBACK, Listening, read_listening

KEK = "STRONGROOM_KEK"
_HELP = """A backup vault for PostgreSQL: `up` starts it, `protect` takes the first backup.

`strongroom COMMAND --help` says what a command does, with examples."""


def main() -> int:
    """The `strongroom` command."""
    # httpx would bring a command line of its own and all that draws it: a fifth of our start.
    sys.modules["httpx._main"] = None  # type: ignore[assignment]
    from strongroom.cli import main as cli

    app = _commands()
    return cli.run(app, sys.argv[1:], _means())


def _commands() -> Any:  # noqa: ANN401 - cyclopts' App
    from cyclopts import App, Group

    from strongroom import __version__
    from strongroom.app import agent_commands
    from strongroom.cli import main as cli

    stands = cli.headings()
    about = Group.create_ordered("Help")  # made after the headings, it stands beneath them
    app = App(name="strongroom", version=__version__, help=_HELP, group_commands=about)
    cli.build(app)
    app.command(serve, name="serve", **stands["serve"])
    app.command(store, name="store", **stands["store"])
    app.command(agent_commands.build(stands["agent"]))
    app.command(agent_commands.wal_put, name="wal-put", **stands["wal-put"])
    app.command(completion, name="completion", **stands["completion"])
    return app


def completion(shell: Literal["bash", "zsh", "fish"], /) -> None:
    """Print a script that completes commands and options in a shell.

    ```
    strongroom completion bash > ~/.local/share/bash-completion/completions/strongroom
    ```

    Parameters
    ----------
    shell
        bash, zsh or fish.
    """
    from strongroom.cli.basis.console import say

    say(_commands().generate_completion(prog_name="strongroom", shell=shell))


def _means() -> Any:  # noqa: ANN401 - cli.means.Means
    from strongroom.cli.basis.means import Means

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
    from strongroom.storage.basis.settings import StoreSettings
    from strongroom.storage.server import run

    check_certificate(host, certificate, certificate_key)
    structured_logs()
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

    structured_logs()
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


def _install_tools(major: int) -> Path:
    from strongroom.postgres.server.tools import install

    return install(major).directory


def _upgrade_catalogue(data: Path) -> list[str]:
    from strongroom.catalog.basis.database import Database
    from strongroom.catalog.migrate import upgrade
    from strongroom.config import ServeFiles

    return upgrade(Database(f"sqlite:///{ServeFiles(data).catalogue}"))


def _rebuild(serve_directory: Path, *, kek: list[str], **asked: Any) -> dict[str, Any]:  # noqa: ANN401
    from strongroom.app.rebuild import rebuild

    structured_logs()
    keks = kek or list(filter(None, os.environ.get(KEK, "").split(";")))
    return rebuild(serve_directory, kek=keks, **asked)


def _issue_certificate(data: Path, listening: Listening, to: Path) -> tuple[Path, Path]:
    from strongroom.config import ServeFiles

    names = listening.certificate_names(socket.gethostname())
    made = ServeFiles(data).issue(to, names, SystemClock())
    return made.certificate, made.key
