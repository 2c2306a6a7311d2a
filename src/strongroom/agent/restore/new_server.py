"""A restore that leaves one more server to look after: what it needs, on a port of its own.

Its entry in the book leads to what this agent has itself restored and started here, and nowhere
else; the credentials are those that the book holds for its source.
"""

from pathlib import Path

import msgspec

from strongroom.agent.access import OpenContainer
from strongroom.agent.held_lease import HeldLease
from strongroom.agent.memory import WHOLE, Share
from strongroom.agent.restore.data_directory import Grounds, restore
from strongroom.agent.restore.start_restored import free_port
from strongroom.agent.servers import ServerBook
from strongroom.model.errors import Conflict, Invalid
from strongroom.model.seams import Chance
from strongroom.model.work.operation import Completion, RestoreOrder
from strongroom.postgres.server import scratch


def make_server(
    held: HeldLease,
    grounds: Grounds,
    book: ServerBook,
    open_container: OpenContainer,
    chance: Chance,
    share: Share = WHOLE,
) -> Completion:
    """As `restore`. Raises Conflict before anything is written when the name is in the book."""
    order = held.lease.restore
    if order is None or order.register is None or not order.start:
        raise Invalid("not an order to make a server")
    wanted = order.register
    like = book.conninfo(wanted.like)
    if wanted.name in book.servers() and not grounds.journal.find(held.lease.operation_id):
        raise Conflict(
            f"this agent looks after a server named {wanted.name!r} already",
            hint="choose another name for the new one",
        )
    held.lease = msgspec.structs.replace(held.lease, restore=_with_port(order))
    completion = restore(held, grounds, open_container, chance, share)
    running = scratch.running(Path(order.target_directory))
    place = {"host": str(running.socket_directory), "port": str(running.port)}
    left_out = {"hostaddr": "", "service": "", "target_session_attrs": ""}
    book.add(wanted.name, like.changed(**place, **left_out).text(), replace=True)
    return completion


def _with_port(order: RestoreOrder) -> RestoreOrder:
    """It comes up there whenever it is started: the source's own port is the source's."""
    port = order.port or free_port()
    settings = {**order.settings, "port": str(port)}
    return msgspec.structs.replace(order, port=port, settings=settings)
