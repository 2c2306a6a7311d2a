"""What a backup that broke off has stored: told to its next try, and laid beneath its delta.

A try leans on the partial deltas of those before it. What it was told is written down, so that the
commit lays its delta over the same, whatever arrives late (docs/decisions/0121).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
import structlog

from strongroom.catalog import resumes
from strongroom.datastore.blobs import Blobs
from strongroom.datastore.chunks import distinct_keys
from strongroom.datastore.delta import Delta, open_delta
from strongroom.datastore.manifest import Manifest, PackFacts
from strongroom.datastore.partial import Base, is_same_server, lay_partial
from strongroom.datastore.verify import DAMAGE
from strongroom.model.errors import Corrupt
from strongroom.model.logical import LOGICAL
from strongroom.model.postgres import Lsn, lsn_to_text
from strongroom.model.resume import ResumeReply, StoredFiles
from strongroom.workflows.collect import pardon
from strongroom.workflows.means import Means

MOST_VERSIONS = 128 << 20  # bytes of page versions in one answer: those of about 200 GiB
_PARTIAL = re.compile(r"d/([0-9A-Za-z-]+)\.([0-9]+)/([0-9]+)\.delta")

log = structlog.get_logger()


def open_resume(means: Means, operation_id: str, epoch: int, logical: bool) -> ResumeReply:  # noqa: FBT001 - as Control calls it
    """What is in storage already of this very backup, or of one that failed before it."""
    with means.control.database.reading() as connection:
        tries = resumes.tries_before(connection, operation_id)
    if epoch == 1 and len(tries) == 1:
        return ResumeReply()
    mine = tries[0]
    attempt = _attempt(epoch, logical=logical)
    names = resumes.told_to(mine, attempt)
    parent = _parent(means, mine, logical=logical)
    if names is None:
        names = _chain(means, tries, epoch, logical=logical)
        names = _sound(means, mine, parent, _own(means, tries, names))
        with means.control.database.writing() as connection:
            resumes.note_told(connection, operation_id, attempt, names)
    return _reply(_fold(means, mine, parent, names), logical=logical)


def base_of(
    means: Means, operation: sa.RowMapping | None, told: dict[str, Any], parent: Manifest | None
) -> Manifest | None:
    """What a delta is laid over: its parent, with what its try was told is stored already."""
    if operation is None or not told.get("resumed"):
        return parent
    logical = told.get("kind") == LOGICAL
    names = resumes.told_to(operation, _attempt(int(told["epoch"]), logical=logical)) or []
    parent = _parent(means, operation, logical=logical)
    base = _fold(means, operation, parent, names)
    if base.count != len(names):
        raise Corrupt(
            f"{names[base.count]} cannot be read any more", hint="Take the backup again."
        )
    return base.base.manifest


def _attempt(epoch: int, *, logical: bool) -> str:
    return f"{epoch}.{'logical' if logical else 'physical'}"


def _parent(means: Means, operation: sa.RowMapping, *, logical: bool) -> Manifest | None:
    named = _named(operation, logical=logical)
    return means.open_point(operation["order"]["instanceId"], named)[1] if named else None


def _named(operation: sa.RowMapping, *, logical: bool) -> str:
    order: dict[str, Any] = operation["order"]
    if logical:
        return str((order.get("dump") or {}).get("parent") or "")
    return str((order.get("parent") or {}).get("recoveryPointId") or "")


def _chain(
    means: Means, tries: Sequence[sa.RowMapping], epoch: int, *, logical: bool
) -> list[str]:
    """The partial deltas of the newest try that has any, after those that it leant on itself."""
    mine = tries[0]
    parent = _named(mine, logical=logical)
    blobs = means.storage.container(mine["order"]["instanceId"])
    found: dict[tuple[str, int], list[tuple[int, str]]] = {}
    for name, _ in blobs.list("d/"):
        if (match := _PARTIAL.fullmatch(name)) is not None:
            found.setdefault((match[1], int(match[2])), []).append((int(match[3]), name))
    for each in tries:
        last = epoch - 1 if each["id"] == mine["id"] else each["epoch"]
        for earlier in range(last, 0, -1):
            names = found.get((each["job_id"], earlier))
            if names and _named(each, logical=logical) == parent:
                before = resumes.told_to(each, _attempt(earlier, logical=logical)) or []
                return [*before, *(name for _, name in sorted(names))]
    return []


def _own(means: Means, tries: Sequence[sa.RowMapping], names: list[str]) -> list[str]:
    """Up to the first that names packs of another generation than its own try was given: a writer
    may lean on nothing that it was not asked to write.
    """
    given = {each["job_id"]: _generations(each) for each in tries}
    for count, name in enumerate(names):
        match = _PARTIAL.fullmatch(name)
        delta = _open(means, tries[0]["order"]["instanceId"], name)
        own = given.get(match[1], set()) if match else set()
        if delta is None or {pack.generation for pack in delta.packs} - own:
            log.error("resume.foreign", partial=name)
            return names[:count]
    return names


def _generations(operation: sa.RowMapping) -> set[str]:
    order: dict[str, Any] = operation["order"]
    parent = (order.get("parent") or {}).get("generation")
    return {str(found) for found in (order.get("generation"), parent) if found}


def _sound(
    means: Means, operation: sa.RowMapping, parent: Manifest | None, names: list[str]
) -> list[str]:
    """Those of the chain that can be leant on, up to the first that cannot: all of its packs are
    there, none is known to be damaged, and from now on nobody collects them.
    """
    instance = operation["order"]["instanceId"]
    packs = _Packs(means, instance)
    late = set(pardon(means, instance, names))
    for count, name in enumerate(names):
        delta = _open(means, instance, name)
        if delta is None or name in late or not packs.are_sound(delta.packs):
            log.warning("resume.cut", instance=instance, partial=name)
            names = names[:count]
            break
    return names[: _fold(means, operation, parent, names).count]


class _Packs:
    """What lies in a container, looked up a generation at a time."""

    def __init__(self, means: Means, instance_id: str) -> None:
        self._means = means
        self._instance = instance_id
        self._damaged = set(means.storage.account_view(instance_id).damaged())
        self._sizes: dict[str, dict[str, int]] = {}

    def are_sound(self, packs: Sequence[PackFacts]) -> bool:
        names = [pack.name for pack in packs]
        if pardon(self._means, self._instance, names) or not self._damaged.isdisjoint(names):
            return False
        return all(self._size(pack) == pack.size for pack in packs)

    def _size(self, pack: PackFacts) -> int | None:
        if pack.generation not in self._sizes:
            blobs: Blobs = self._means.storage.container(self._instance)
            self._sizes[pack.generation] = dict(blobs.list(f"g/{pack.generation}/"))
        return self._sizes[pack.generation].get(pack.name)


def _open(means: Means, instance_id: str, name: str) -> Delta | None:
    try:
        sealed = means.storage.container(instance_id).read(name)
        return open_delta(sealed, means.keyring.pair(instance_id, "catalogue"))
    except DAMAGE:
        return None


@dataclass(slots=True)
class _Folded:
    """So many partial deltas, one over the other."""

    base: Base = field(default_factory=Base)
    count: int = 0


def _fold(
    means: Means, operation: sa.RowMapping, parent: Manifest | None, names: Sequence[str]
) -> _Folded:
    """Up to the first that does not fit. Those of another sort, or server, are passed over."""
    instance = operation["order"]["instanceId"]
    found = _Folded(Base(parent))
    held: dict[str, int] = {}  # bytes of page versions, by path
    for name in names:
        delta = _open(means, instance, name)
        if delta is None:
            break
        held |= {path: len(versions) for path, versions in delta.page_versions.items()}
        if sum(held.values()) > MOST_VERSIONS:
            break
        base = found.base if is_same_server(found.base, delta) else Base(parent)
        try:
            found.base = lay_partial(base, delta)
        except Corrupt as error:
            log.warning("resume.unfit", instance=instance, partial=name, why=error.message)
            break
        found.count += 1
    return found


def _reply(found: _Folded, *, logical: bool) -> ResumeReply:
    manifest = found.base.manifest
    if manifest is None or not found.count:
        return ResumeReply()
    if logical:
        return ResumeReply(chunk_keys=distinct_keys(manifest.chunks))
    by_start: dict[int, dict[str, bytes]] = {}
    for path, start in found.base.starts.items():
        if path in manifest.page_versions:
            by_start.setdefault(start, {})[path] = manifest.page_versions[path]
    return ResumeReply(
        system_identifier=str(manifest.source.system_identifier),
        timeline=manifest.source.timeline,
        files=[
            StoredFiles(start_lsn=lsn_to_text(Lsn(start)), page_versions=versions)
            for start, versions in sorted(by_start.items())
        ],
    )
