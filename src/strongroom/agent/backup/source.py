"""What a server is read from: the disk of this host when it can be, else the stream."""

import os
from functools import partial

import structlog

from strongroom.agent.servers import ServerBook
from strongroom.model.errors import SourceRefused
from strongroom.model.protection.backup_type import DISK_ALONE
from strongroom.model.work.operation import ServerFacts
from strongroom.postgres.backup.local import disk_backup
from strongroom.postgres.backup.physical import Way
from strongroom.postgres.backup.wal_on_disk import DiskWindow
from strongroom.postgres.backup.whereabouts import data_directory_of
from strongroom.postgres.server.connect import Conninfo

# One keeps ahead of two threads that seal; a second one pays where it has a core of its own.
_READERS = 1 if (os.cpu_count() or 1) <= 2 else 2


def way_of(book: ServerBook, facts: ServerFacts, conninfo: Conninfo, readers: int = 0) -> Way:
    """Chosen anew for each backup, for a server may move.

    `readers` of the disk; 0: one, or two where there are more than two cores.

    Raises SourceRefused when nothing but the disk will do and it cannot be read.
    """
    wanted, alone = book.source(facts.name), facts.way == DISK_ALONE
    if wanted == "stream":
        return Way()
    try:
        directory = data_directory_of(conninfo)
    except SourceRefused as error:
        if alone or wanted == "disk":
            raise
        log = structlog.get_logger("strongroom.agent")
        log.info("reading by the stream", server=facts.name, why=error.message)
        return Way()
    base = partial(disk_backup, directory=directory, readers=readers or _READERS)
    return Way(base, partial(DiskWindow, data_directory=directory)) if alone else Way(base)
