"""What a server's files are read from: the disk of this host when it can be, else the stream."""

from collections.abc import Callable, Generator
from functools import partial

import structlog

from strongroom.agent.servers import ServerBook
from strongroom.model.errors import SourceRefused
from strongroom.postgres.basebackup import base_backup
from strongroom.postgres.connect import Conninfo
from strongroom.postgres.events import Event
from strongroom.postgres.local import disk_backup
from strongroom.postgres.whereabouts import data_directory_of

Base = Callable[..., Generator[Event, None, None]]


def base_of(book: ServerBook, name: str, conninfo: Conninfo, readers: int = 0) -> Base:
    """Chosen anew for each backup, for a server may move. `readers` of the disk; 0: one.

    Raises SourceRefused when the server's entry asks for the disk and it cannot be read.
    """
    wanted = book.source(name)
    if wanted == "stream":
        return base_backup
    try:
        directory = data_directory_of(conninfo)
        return partial(disk_backup, directory=directory, readers=readers or 1)
    except SourceRefused as error:
        if wanted == "disk":
            raise
        log = structlog.get_logger("strongroom.agent")
        log.info("reading by the stream", server=name, why=error.message)
        return base_backup
