"""Which way a server's files and log are read, and what would have to be granted for it."""

from collections.abc import Sequence

from strongroom.model.errors import SourceError, VaultError
from strongroom.model.protection.backup_type import DISK, DISK_ALONE, OF_STREAM, STREAM
from strongroom.model.work.operation import ServerFacts
from strongroom.postgres.backup.whereabouts import REMEDY, place_here
from strongroom.postgres.server.connect import Conninfo

_ELSE = "Run an agent on the server's host that may read its files."


def settle_way(
    conninfo: Conninfo, source: str, facts: ServerFacts, problems: Sequence[VaultError]
) -> list[VaultError]:
    """Note the way in the facts -> the problems that are left on it.

    `source`: `disk`, `stream`, or `auto`: the disk if it can be. What only a replication
    connection lacks is no problem where the disk is read by SQL alone; else its hint tells what
    would open that way too.
    """
    of_stream = [each for each in problems if each.facts.get(OF_STREAM)]
    if source == "stream" or len(of_stream) < len(problems):
        facts.way = "" if problems else STREAM
        return list(problems)
    try:
        place = place_here(conninfo)
    except SourceError as error:
        if source == "disk":
            return [*problems, error]
        facts.way = "" if problems else STREAM
        return _with_other_way(of_stream, str(error.facts.get(REMEDY, _ELSE)))
    facts.way = DISK_ALONE if of_stream else DISK
    facts.system_identifier = facts.system_identifier or str(place.system_identifier)
    return []


def _with_other_way(problems: list[VaultError], remedy: str) -> list[VaultError]:
    if not problems:
        return []
    first, *others = problems
    told = f"{first.hint} Or, without replication: {remedy}"
    return [type(first)(first.message, hint=told, facts=first.facts, code=first.code), *others]
