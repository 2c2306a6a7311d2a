"""What holds a vault shut, as far as it was looked at: the proof beside each promise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from whenever import Instant

from strongroom.catalog.points import censuses, footprints, storage_findings
from strongroom.catalog.protection import instance_keys
from strongroom.catalog.usage.costs import redundancy_of
from strongroom.control.basis.control import Control
from strongroom.control.overview.fleet import Ship
from strongroom.model.errors import VaultError
from strongroom.model.resources.second_copy import trouble_of, words_of
from strongroom.model.resources.vault import GEO


@dataclass(frozen=True, slots=True)
class Shut:
    """Of one vault's instances; `redundancy` is Azure's word.

    last_end: of the point that stays longest. compared_at: since when all that lies in storage
    was compared with the catalogue, of the instance that has waited longest; `compared`: of how
    many. wrong: kind of finding -> objects. copy: how far the second one is, `copy_trouble` what
    is wrong with it; both empty without one. keys: pairs, `escrowed` of them sealed to the
    recovery key too.
    """

    redundancy: str
    last_end: Instant | None
    compared_at: Instant | None
    compared: int
    wrong: Mapping[str, int]
    copy: str
    copy_trouble: str
    copy_place: str
    keys: int
    escrowed: int


def what_holds_shut(
    control: Control, properties: Mapping[str, Any], ships: Sequence[Ship]
) -> Shut:
    """`properties`: the vault's. Whoever asks has seen that vault and those ships."""
    redundancy = redundancy_of(properties)
    ids = [ship.id for ship in ships]
    with control.database.reading() as connection:
        ends = footprints.last_expiries(connection, ids).values()
        taken = censuses.taken_of(connection, ids)
        wrong = storage_findings.count_kinds(connection, ids)
        keys = instance_keys.count_escrowed(connection, ids)
    told = _copy(control) if redundancy == GEO else {}
    return Shut(
        redundancy=redundancy,
        last_end=max(ends, default=None),
        compared_at=min(taken, default=None),
        compared=len(taken),
        wrong=wrong,
        copy=words_of(told) if told else "",
        copy_trouble=trouble_of(told),
        copy_place=control.second.location if told and control.second is not None else "",
        keys=keys[0],
        escrowed=keys[1],
    )


def _copy(control: Control) -> dict[str, Any]:
    """What the second copy tells of itself; that it cannot be asked is told as that."""
    if control.second is None:
        return {}
    try:
        return control.second.told()
    except VaultError as error:
        return {"error": error.message}
