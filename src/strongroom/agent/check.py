"""A look at one server, now, because somebody asked."""

from strongroom.agent.held_lease import HeldLease
from strongroom.agent.servers import ServerBook
from strongroom.agent.watch import ServerWatch
from strongroom.model.errors import Invalid
from strongroom.model.work.operation import Completion, Progress


def check(held: HeldLease, book: ServerBook, watch: ServerWatch) -> Completion:
    """The server's facts, with a problem for each thing that is missing.

    A server that cannot be reached is a finding, not a failure. Raises NotFound when this agent
    does not look after it.
    """
    order = held.lease.check
    if order is None:
        raise Invalid("not an order to check a server")
    held.tell(Progress(step="Connecting"))
    facts = watch.look_now(order.server, book.conninfo(order.server))
    return Completion(epoch=held.lease.epoch, check=facts)
