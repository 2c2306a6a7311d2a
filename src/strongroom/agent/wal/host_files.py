"""What this host's own files say of a server whose log is kept, for as long as they say it.

A stream lasts for months: a connection string, a spool or a bound that is changed meanwhile holds
at once, without a restart of the agent.
"""

from pathlib import Path

from strongroom.agent.bounds import check_order
from strongroom.agent.own_settings import OwnSettings, OwnSettingsFile
from strongroom.agent.servers import ServerBook
from strongroom.model.errors import NotFound
from strongroom.model.work.operation import Lease
from strongroom.postgres.server.connect import Conninfo

_Said = tuple[Conninfo, Path | None, OwnSettings]


class FilesChangedError(Exception):
    """They say something else by now: begin anew."""


class HostFiles:
    """As they are when it is made.

    Raises NotFound where they name no such server, TargetRefused for an order that they refuse.
    """

    def __init__(self, lease: Lease, server: str, book: ServerBook, own: OwnSettingsFile) -> None:
        self._server, self._book, self._own = server, book, own
        self._stamps = book.stamp(), own.stamp()
        self.is_removed = False
        self.conninfo, self.spool, settings = self._said = self._read()
        check_order(lease, settings)

    def check(self) -> None:
        """Raises FilesChangedError, or NotFound, once they say otherwise. Quick."""
        stamps = self._book.stamp(), self._own.stamp()
        if stamps == self._stamps:
            return
        if self._read() != self._said:
            raise FilesChangedError  # to each thread that asks
        self._stamps = stamps

    def _read(self) -> _Said:
        try:
            conninfo, spool = self._book.conninfo(self._server), self._book.archive(self._server)
        except NotFound:
            self.is_removed = True
            raise
        return conninfo, spool, self._own.load()
