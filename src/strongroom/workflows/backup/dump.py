"""Logical backups: which kind a job takes, what its dump leans on, how that is laid together."""

from typing import Any

import sqlalchemy as sa
from blake3 import blake3

from strongroom.catalog.points import recovery_points
from strongroom.catalog.protection.protection import Protection
from strongroom.datastore.dumps.dump_map import is_worth_leaning_on, lay_dump
from strongroom.datastore.maps.delta import Delta
from strongroom.datastore.maps.manifest import Manifest, PointFacts
from strongroom.model.errors import Corrupt, ObjectMissing
from strongroom.model.protection.backup_type import FULL
from strongroom.model.protection.policy import parse_policy
from strongroom.model.work.job import Job
from strongroom.model.work.logical import LOGICAL, DumpWish
from strongroom.workflows.backup.resume import base_of
from strongroom.workflows.basis.means import Means

_CONTEXT = "strongroom 1: key of the digests of an instance's chunks"


def backup_type_of(job: Job, found: Protection) -> str:
    """What the request says, else the policy's rule."""
    wish = str(job.order.get("backup_type") or "")
    if wish:
        return wish
    rules = parse_policy(found.policy).backup_rules
    return next((rule.backup_type for rule in rules if rule.name == job.rule_name), FULL)


def chunk_key_of(means: Means, instance_id: str) -> bytes:
    """The key of the digests of an instance's chunks: it follows from its first catalogue key.

    So that what is stored is still known after the key was rotated.
    """
    pair = means.keyring.first_pair(instance_id, "catalogue")
    return blake3(pair.to_bytes(), derive_key_context=_CONTEXT).digest()


def wish_of(means: Means, job: Job) -> DumpWish:
    """The newest logical point of the instance is leant on, unless little of it is alive."""
    key = chunk_key_of(means, job.instance_id)
    with means.control.database.reading() as connection:
        points = recovery_points.list_of_instance(connection, job.instance_id)
    able = (p for p in points if p.state == "Completed" and p.kind == LOGICAL)
    newest = next(able, None)
    if newest is None or newest.facts.get("damaged"):
        return DumpWish(chunk_key=key)
    try:
        _, manifest = means.open_point(job.instance_id, newest.id)
    except (Corrupt, ObjectMissing):  # such as one that a second copy never got
        return DumpWish(chunk_key=key)
    parent = newest.id if is_worth_leaning_on(manifest) else ""
    return DumpWish(chunk_key=key, parent=parent)


def lay(
    means: Means,
    delta: Delta,
    facts: PointFacts,
    what: tuple[sa.RowMapping | None, dict[str, Any]],
) -> tuple[Manifest, Manifest | None]:
    """(the point's manifest, its parent's): over the very parent that the order named."""
    operation, told = what
    order: dict[str, Any] = operation["order"] if operation else {}
    named = (order.get("dump") or {}).get("parent", "")
    parent = means.open_point(facts.instance_id, named)[1] if named else None
    return lay_dump(delta, facts, base_of(means, operation, told, parent)), parent
