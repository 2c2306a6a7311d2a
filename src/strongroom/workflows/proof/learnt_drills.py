"""The history of an instance's drills, learnt again from the evidence beside its points.

Evidence states numbers and the verdict; the names of tables, and what exactly was wrong, were in
the catalogue alone.
"""

import msgspec
import sqlalchemy as sa
from blake3 import blake3
from whenever import Instant

from strongroom.catalog.points import drills, expiry_holds, recovery_points
from strongroom.datastore.places.blobs import Blobs
from strongroom.datastore.statements.evidence import Evidence, check_evidence, name_of
from strongroom.model.errors import Corrupt, ObjectMissing
from strongroom.model.ids import InstanceId
from strongroom.model.work.drill import FAILED, Drill, DrillResult
from strongroom.workflows.basis import held_expiry
from strongroom.workflows.basis.means import Means
from strongroom.workflows.proof.drill import fact_of

_EVERY = 1 << 31
_LOST = "what was wrong stood in the catalogue that was lost"


def learn_drills(
    means: Means, instance_id: InstanceId, since: Instant | None
) -> tuple[int, list[str]]:
    """How many were new, and what is no evidence. Points must be known already. Safe twice.

    What follows from a verdict is drawn for those that ended `since`; before that the settings
    have it (None: for all of them). Raises StoreError.
    """
    blobs = means.storage.container(instance_id)
    problems, found = [], []
    for name in _names(means, blobs, instance_id):
        try:
            stored = blobs.read(name)
            told = _checked(means, instance_id, name, stored)
        except (Corrupt, ObjectMissing) as error:
            problems.append(f"{name} was passed over: {error.message}")
            continue
        found.append((told, stored))
    found.sort(key=lambda each: Instant.parse_iso(each[0].ended_at))
    with means.control.database.writing() as connection:
        learnt = [_learn(connection, told, stored, since) for told, stored in found]
    return sum(learnt), problems


def _names(means: Means, blobs: Blobs, instance_id: InstanceId) -> list[str]:
    try:
        listed = [name for name, _ in blobs.list("p/") if name.endswith(".drill")]
    except ObjectMissing:  # its protection was never set up: there is no container
        return []
    with means.control.database.reading() as connection:
        rows = drills.list_of_instance(connection, instance_id, most=_EVERY)
    known = {row.evidence_name for row in rows}
    return [name for name in listed if name not in known]


def _checked(means: Means, instance_id: InstanceId, name: str, stored: bytes) -> Evidence:
    told = check_evidence(means.keyring.signing.public, stored)
    stated = told.instance_id, name_of(told.recovery_point_id, told.job_id)
    if stated != (instance_id, name):
        raise Corrupt("it states another drill")
    return told


def _learn(
    connection: sa.Connection, told: Evidence, stored: bytes, since: Instant | None
) -> bool:
    ended, result = Instant.parse_iso(told.ended_at), _result(told)
    row = Drill(
        id=told.job_id,
        instance_id=told.instance_id,
        recovery_point_id=told.recovery_point_id,
        began_at=Instant.parse_iso(told.began_at),
        ended_at=ended,
        verdict=told.verdict,
        result=msgspec.to_builtins(result),
        evidence_name=name_of(told.recovery_point_id, told.job_id),
        evidence_blake3=blake3(stored).digest(),
        evidence=stored,
    )
    if not drills.add(connection, row):
        return False
    points = recovery_points.list_of_instance(connection, InstanceId(told.instance_id))
    point = next((each for each in points if each.id == told.recovery_point_id), None)
    if point is None:  # evidence outlasts its point
        return True
    fact = {**fact_of(row, result), "assertions": told.assertions}
    recovery_points.note_facts(connection, point.id, {"drill": fact})
    if since is not None and ended < since:
        return True
    if row.verdict == FAILED:
        why = f"recovery point {point.id} failed its drill"
        held_expiry.hold(connection, told.instance_id, point.id, (expiry_holds.DRILL, why), ended)
    else:
        held_expiry.release_proven(connection, InstanceId(told.instance_id), point, ended)
    return True


def _result(told: Evidence) -> DrillResult:
    """As far as numbers tell."""
    seconds = {step: spent / 1000 for step, spent in told.milliseconds.items()}
    return DrillResult(
        source_version=told.source_version,
        server_version=told.server_version,
        problems=[_LOST] if told.problems else [],
        more_problems=max(told.problems - 1, 0),
        databases=told.databases,
        relations=told.relations_checked,
        indexes=told.indexes_checked,
        rows=told.rows,
        more_tables=told.tables,
        ready_seconds=seconds.pop("ready", 0.0),
        seconds=seconds,
        written_bytes=told.written_bytes,
        fetched_bytes=told.fetched_bytes,
        network=told.network,
    )
