"""An agent as a process: its real parts, and the signals that end it."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType

import structlog

from strongroom.agent.access import container_opener
from strongroom.agent.backup.back_up import back_up, order_of
from strongroom.agent.backup.hooks import with_hooks
from strongroom.agent.backup.limits import Limits
from strongroom.agent.backup.logical import take_dump
from strongroom.agent.backup.patience import until_it_answers
from strongroom.agent.backup.physical import take_backup
from strongroom.agent.control_client import ControlClient
from strongroom.agent.enrolment import enrolled
from strongroom.agent.files.long_term import dump_out
from strongroom.agent.files.look_at import look_at
from strongroom.agent.held_lease import HeldLease
from strongroom.agent.loop import Agent, Trades
from strongroom.agent.memory import Memory
from strongroom.agent.own_settings import OwnSettingsFile
from strongroom.agent.private_file import own_directory
from strongroom.agent.proof.drill import DrillGround, drill
from strongroom.agent.proof.verify import verify
from strongroom.agent.restore.data_directory import Grounds, restore
from strongroom.agent.restore.journal import RestoreJournal
from strongroom.agent.restore.load import load, take_away_dumps
from strongroom.agent.restore.new_server import make_server
from strongroom.agent.scratch.extract import extract
from strongroom.agent.scratch.part import remove_scratch
from strongroom.agent.servers import ServerBook
from strongroom.agent.settings import Identity, Settings
from strongroom.agent.wal.archive import LogTrade
from strongroom.model.errors import VaultError
from strongroom.model.seams import Chance, Clock
from strongroom.model.work.operation import Completion, ServerFacts
from strongroom.postgres.backup.check import Refused, look
from strongroom.postgres.server.connect import Conninfo
from strongroom.postgres.server.table_sizes import largest_tables


def run(settings: Settings, clock: Clock, chance: Chance) -> bool:
    """An agent from start to SIGTERM: enrol if need be, then lease and work.

    Returns whether all work has let go; if not, threads are stuck and only the process can end
    them. Raises what makes it impossible to begin: Precondition, Invalid, Unauthenticated.
    """
    own_directory(settings.data)
    settings.ready_file.unlink(missing_ok=True)
    book = ServerBook(settings.servers_file)
    book.servers()
    _take_away_left(settings)
    identity = enrolled(settings, clock, chance)
    with control_of(identity, chance) as client:
        trades = real_trades(settings, identity, book, clock, chance)
        agent = Agent(settings, client, book, trades, clock, chance)
        with _stopped_by_signals(agent):
            return agent.work()


def _take_away_left(settings: Settings) -> None:
    """Scratch servers, their directories, and dumps that a killed agent left. What cannot be taken
    away now is tried again at the next start.
    """
    try:
        take_away_dumps(settings.data / "spool")
        RestoreJournal(settings.data / "restores").take_away_left(remove_scratch)
    except (OSError, VaultError) as error:
        log = structlog.get_logger("strongroom.agent")
        log.warning("a directory was left", why=str(error))


def real_trades(
    settings: Settings, identity: Identity, book: ServerBook, clock: Clock, chance: Chance
) -> Trades:
    """The work itself: PostgreSQL, storage and this machine's disks."""
    own = OwnSettingsFile(settings.own_file)
    ca_file = Path(identity.ca_file) if identity.ca_file else None
    open_container = container_opener(ca_file, lambda: own.load().storage)
    grounds = Grounds(settings.restore_roots, RestoreJournal(settings.data / "restores"))
    drills = DrillGround(scratch_root(settings), grounds.journal, own)
    memory, limits = Memory(), Limits(clock)

    def back_up_within(held: HeldLease) -> Completion:
        order, told = order_of(held), own.load()
        conninfo = book.conninfo(order.server)
        secrets = (*conninfo.secrets(), identity.agent_token)

        def work() -> Completion:
            with memory.share() as whole:
                share = limits.applied(order, whole, told.bandwidth)
                given = (held, book, open_container, clock, chance, share)
                ways = partial(take_backup, *given), partial(take_dump, *given)
                return back_up(held, *ways, partial(largest_tables, conninfo))

        with until_it_answers(held, conninfo, clock, chance):
            return with_hooks(held, told.hooks_of(order.server), secrets, work)

    def restore_within(held: HeldLease) -> Completion:
        with memory.share() as share:
            if held.lease.load is not None:
                return load(held, book, open_container, chance, settings.data / "spool", share)
            if held.lease.long_term is not None:
                return dump_out(held, book, clock, chance)
            if held.lease.drill is not None:
                return drill(held, drills, open_container, clock, chance, share)
            if held.lease.extract is not None:
                return extract(held, grounds, book, open_container, chance, share)
            if held.lease.restore is not None and held.lease.restore.register is not None:
                return make_server(held, grounds, book, open_container, chance, share)
            return restore(held, grounds, open_container, chance, share)

    def verify_within(held: HeldLease) -> Completion:
        with memory.share() as share:
            return verify(held, open_container, chance, share)

    return Trades(
        look=partial(_look, book, Refused(clock)),
        take_backup=back_up_within,
        restore=restore_within,
        verify=verify_within,
        look_at=partial(look_at, allow=grounds.allow, chance=chance),
        stream=LogTrade(book, own, open_container, clock, chance).take_log,
        let_go=memory.let_go,
    )


def _look(book: ServerBook, refused: Refused, conninfo: Conninfo, name: str) -> ServerFacts:
    return look(conninfo, name, book.source(name), refused)


def scratch_root(settings: Settings) -> Path | None:
    """Where drills work: as it was said, or in our own directory.

    None, for root: in the system's temporary one, as PostgreSQL's user may not enter ours.
    """
    if settings.scratch is not None or os.geteuid() == 0:
        return settings.scratch
    return settings.data / "scratch"


def control_of(identity: Identity, chance: Chance) -> ControlClient:
    """The line to the control plane of an enrolled agent."""
    return ControlClient(
        identity.control_url,
        ca_file=Path(identity.ca_file) if identity.ca_file else None,
        chance=chance,
        token=identity.agent_token,
    )


@contextmanager
def _stopped_by_signals(agent: Agent) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        del number, frame
        agent.stop()

    before = {kind: signal.signal(kind, stop) for kind in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
