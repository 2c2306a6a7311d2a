"""What a backup that broke off has stored: told to its next try, and laid beneath its delta.

A try leans on the partial deltas of those before it. What it was told is written down, so that the
commit lays its delta over the same, whatever arrives late (docs/decisions/0121).
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import msgspec
import sqlalchemy as sa
import structlog

from strongroom.catalog.work import resumes
from strongroom.datastore.care.partial import Base, is_same_server, joined, lay_partial
from strongroom.datastore.dumps.chunks import distinct_keys
from strongroom.datastore.maps.delta import Delta, open_delta
from strongroom.datastore.maps.manifest import Manifest, PackFacts
from strongroom.datastore.packs.pack import DELTA
from strongroom.datastore.reading.verify import DAMAGE
from strongroom.model.errors import Corrupt, NotFound
from strongroom.model.postgres import Lsn, lsn_to_text
from strongroom.model.work.logical import LOGICAL
from strongroom.model.work.resume import ResumeReply, ResumeRequest, StoredPart
from strongroom.workflows.basis.means import Means
from strongroom.workflows.garbage.collect import pardon

_PARTIAL = re.compile(r"d/([0-9A-Za-z-]+)\.([0-9]+)/([0-9]+)\.delta")

log = structlog.get_logger()


def open_resume(means: Means, operation_id: str, request: ResumeRequest) -> ResumeReply:
    """What is in storage already of this very backup, or of one that failed before it.

    With `part` just the page versions in that part: one partial delta is a part.
    """
    logical = request.logical
    with means.control.database.reading() as connection:
        tries = resumes.tries_before(connection, operation_id)
    if request.epoch == 1 and len(tries) == 1:
        return ResumeReply()
    mine, attempt = tries[0], _attempt(request.epoch, logical=logical)
    names = resumes.told_to(mine, attempt)
    if request.part >= 0:
        return _told_part(means, mine, names or [], request.part)
    parent = _parent(means, mine, logical=logical)
    if names is not None:
        return _reply(_fold(means, mine, parent, names), logical=logical)
    names = _chain(means, tries, request.epoch, logical=logical)
    allows = _Soundness(means, tries, logical=logical).allows
    found = _fold(means, mine, parent, names, allows)
    with means.control.database.writing() as connection:
        resumes.note_told(connection, operation_id, attempt, names[: found.count])
    return _reply(found, logical=logical)


def _told_part(
    means: Means, operation: sa.RowMapping, names: Sequence[str], part: int
) -> ResumeReply:
    delta = None
    if part < len(names):
        delta = _open(means, operation["order"]["instanceId"], names[part])
    if delta is None:
        raise NotFound(f"there is no part {part} of page versions", hint="Take the backup again.")
    return ResumeReply(page_versions=delta.page_versions)


def base_of(
    means: Means, operation: sa.RowMapping | None, told: dict[str, Any], parent: Manifest | None
) -> Manifest | None:
    """What a delta is laid over: its parent, with what its try was told is stored already."""
    if operation is None or not told.get("resumed"):
        return parent
    logical = told.get("kind") == LOGICAL
    names = resumes.told_to(operation, _attempt(int(told["epoch"]), logical=logical)) or []
    parent = _parent(means, operation, logical=logical)
    found = _fold(means, operation, parent, names)
    if found.count != len(names):
        lost = names[found.count]
        raise Corrupt(f"{lost} cannot be read any more", hint="Take the backup again.")
    return found.base.manifest


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


class _Soundness:
    """Whether a partial delta can be leant on.

    It is of the sort that is asked for, and names packs of its own try alone: a writer may lean on
    nothing that it was not asked to write. All of them are there, none is known to be damaged, and
    from now on nobody collects them, nor the delta.
    """

    def __init__(self, means: Means, tries: Sequence[sa.RowMapping], *, logical: bool) -> None:
        self._means = means
        self._logical = logical
        self._instance: str = tries[0]["order"]["instanceId"]
        self._own = {each["job_id"]: _generations(each) for each in tries}
        self._damaged = set(means.storage.account_view(self._instance).damaged())
        self._sizes: dict[str, dict[str, int]] = {}

    def allows(self, name: str, delta: Delta) -> bool:
        match = _PARTIAL.fullmatch(name)
        own = self._own.get(match[1], set()) if match else set()
        names = [name, *(pack.name for pack in delta.packs)]
        sound = (
            bool(delta.chunks) == self._logical
            and {pack.generation for pack in delta.packs} <= own
            and self._damaged.isdisjoint(names)
            and all(self._size(pack) == pack.size for pack in delta.packs)
            and not pardon(self._means, self._instance, names)
        )
        if not sound:
            log.warning("resume.cut", instance=self._instance, partial=name)
        return sound

    def _size(self, pack: PackFacts) -> int | None:
        if pack.generation not in self._sizes:
            blobs = self._means.storage.container(self._instance)
            self._sizes[pack.generation] = dict(blobs.list(f"g/{pack.generation}/"))
        return self._sizes[pack.generation].get(pack.name)


def _generations(operation: sa.RowMapping) -> set[str]:
    order: dict[str, Any] = operation["order"]
    parent = (order.get("parent") or {}).get("generation")
    return {str(found) for found in (order.get("generation"), parent) if found}


def _open(means: Means, instance_id: str, name: str) -> Delta | None:
    try:
        sealed = means.storage.container(instance_id).read(name)
        return open_delta(sealed, means.pair_for(instance_id, sealed, DELTA))
    except DAMAGE:
        return None


@dataclass(slots=True)
class _Folded:
    """So many partial deltas, one try over the other.

    parts: path -> which of them has its page versions.
    """

    base: Base = field(default_factory=Base)
    count: int = 0
    parts: dict[str, int] = field(default_factory=dict)


def _fold(
    means: Means,
    operation: sa.RowMapping,
    parent: Manifest | None,
    names: Sequence[str],
    allows: Callable[[str, Delta], bool] = lambda *_: True,
) -> _Folded:
    """Up to the first that does not fit, or is not allowed."""
    instance = operation["order"]["instanceId"]
    found = _Folded(Base(parent))
    for _, group in groupby(names, lambda name: name.rpartition("/")[0]):
        wanted = list(group)
        deltas: list[Delta] = []
        for name in wanted:
            delta = _open(means, instance, name)
            if delta is None or not allows(name, delta):
                break
            found.parts |= dict.fromkeys(delta.page_versions, found.count + len(deltas))
            deltas.append(msgspec.structs.replace(delta, page_versions={}))
        if deltas:
            try:
                found.base = _over(found.base, joined(deltas), parent)
            except Corrupt as error:
                log.warning("resume.unfit", instance=instance, partial=name, why=error.message)
                break
        found.count += len(deltas)
        if len(deltas) < len(wanted):
            break
    return found


def _over(base: Base, delta: Delta, parent: Manifest | None) -> Base:
    """What is of another server, or another history, takes the place of what came before."""
    return lay_partial(base if is_same_server(base, delta) else Base(parent), delta)


def _reply(found: _Folded, *, logical: bool) -> ResumeReply:
    manifest = found.base.manifest
    if manifest is None or not found.count:
        return ResumeReply()
    if logical:
        return ResumeReply(chunk_keys=distinct_keys(manifest.chunks))
    parts: list[list[str]] = [[] for _ in range(found.count)]
    for path in found.base.starts:
        parts[found.parts[path]].append(path)
    starts = [found.base.starts[paths[0]] if paths else 0 for paths in parts]
    return ResumeReply(
        system_identifier=str(manifest.source.system_identifier),
        timeline=manifest.source.timeline,
        parts=[
            StoredPart(start_lsn=lsn_to_text(Lsn(start)), paths=paths)
            for start, paths in zip(starts, parts, strict=True)
        ],
    )
