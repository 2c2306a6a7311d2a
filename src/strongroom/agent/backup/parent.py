"""What an increment leans on, asked of the control plane: storage tells an agent nothing."""

from collections.abc import Callable
from functools import partial

import zstandard

from strongroom.agent.held_lease import HeldLease
from strongroom.datastore.maps.page_parts import PageVersions
from strongroom.model.errors import Corrupt
from strongroom.model.postgres import (
    SystemIdentifier,
    Timeline,
    lsn_from_text,
    lsn_to_text,
    major_of,
)
from strongroom.model.work.operation import BackupOrder, ParentReply, ParentRequest, ServerFacts
from strongroom.postgres.backup.basebackup import MOST_MANIFEST_BYTES
from strongroom.postgres.backup.incremental import SUMMARIES_SINCE, Parent
from strongroom.postgres.server.connect import Conninfo
from strongroom.postgres.server.summaries import know_checkpoint


def parent_of(held: HeldLease, order: BackupOrder) -> Parent | None:
    """The order's parent; None when a full backup is asked for. Raises as `ControlClient` does."""
    if order.parent is None:
        return None
    ask = partial(held.client.parent, held.lease.operation_id, pause=held.pause)

    def part(number: int) -> dict[str, bytes]:
        return ask(ParentRequest(epoch=held.lease.epoch, part=number)).page_versions

    return _parent(ask(ParentRequest(epoch=held.lease.epoch)), part)


def _parent(told: ParentReply, part: Callable[[int], dict[str, bytes]]) -> Parent:
    return Parent(
        system_identifier=SystemIdentifier(int(told.system_identifier)),
        timeline=Timeline(told.timeline),
        start_lsn=lsn_from_text(told.start_lsn),
        stop_lsn=lsn_from_text(told.stop_lsn),
        pg_manifest=_inflated(told.pg_manifest),
        checksums=told.checksums,
        page_versions=PageVersions(told.page_versions, told.page_parts, part),
    )


def other_history(conninfo: Conninfo, facts: ServerFacts, parent: Parent) -> str:
    """Why the server is a copy of the parent's, with a history of its own; empty when it is not,

    as far as its summaries tell.
    """
    if major_of(facts.version_number) < SUMMARIES_SINCE:
        return ""
    if know_checkpoint(conninfo, parent.timeline, parent.start_lsn):
        return ""
    at = lsn_to_text(parent.start_lsn)
    return (
        f"the last point began at {at}, and this server had no checkpoint there: it is a copy of "
        "the server that is protected, or was set back"
    )


def _inflated(packed: bytes) -> bytes:
    try:
        if zstandard.get_frame_parameters(packed).content_size > MOST_MANIFEST_BYTES:
            raise Corrupt("the parent's backup_manifest is larger than 1 GiB")
        raw: bytes = zstandard.decompress(packed)
    except zstandard.ZstdError as error:
        raise Corrupt("the parent's backup_manifest cannot be read") from error
    return raw
