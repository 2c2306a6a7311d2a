"""Drills as JSON: what was found, and the signed object that states it."""

from typing import Any

from strongroom.model.work.drill import Drill
from strongroom.web.api.wire import instant


def drill(found: Drill) -> dict[str, Any]:
    """`result`: DrillResult of model/work/drill.py; `statement`: the evidence, with its digest."""
    return {
        "name": found.id,
        "properties": {
            "recoveryPointId": found.recovery_point_id,
            "beganAt": instant(found.began_at),
            "endedAt": instant(found.ended_at),
            "verdict": found.verdict,
            "evidence": found.evidence_name,
            "evidenceBlake3": found.evidence_blake3.hex(),
            "statement": found.statement,
            "result": found.result,
        },
    }
