"""What a server is read from: the disk of this host when it can be, else the stream."""

from functools import partial

import structlog

from strongroom.agent.servers import ServerBook
from strongroom.model.backup_type import DISK_ALONE
from strongroom.model.errors import SourceRefused
from strongroom.model.operation import ServerFacts
from strongroom.postgres.connect import Conninfo
from strongroom.postgres.local import disk_backup
from strongroom.postgres.physical import Way
from strongroom.postgres.wal_on_disk import DiskWindow
from strongroom.postgres.whereabouts import data_directory_of

_READERS = 2  # one checks pages while the other waits for the disk; the rest of a core compresses


def way_of(book: ServerBook, facts: ServerFacts, conninfo: Conninfo, readers: int = 0) -> Way:
    """Chosen anew for each backup, for a server may move. `readers` of the disk; 0: two.

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
