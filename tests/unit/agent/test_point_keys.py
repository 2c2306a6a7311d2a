"""The keys of a point with very many packs are asked for in parts, soon answered each."""

from dataclasses import dataclass, field

import pytest

from seams import FakeClock, SystemChance
from strongroom.agent.held_lease import HeldLease
from strongroom.agent.restore import point_keys
from strongroom.agent.restore.point_keys import PointKeys
from strongroom.datastore.keys.session import SessionKeys, seal_session
from strongroom.model.work.operation import KeysReply, KeysRequest, Lease

KEYS = {bytes([number]) * 16: bytes([number]) * 32 for number in range(7)}
LOST = b"l" * 16


@dataclass
class ControlPlane:
    """Gives the keys that are asked for; `old`: one of before, which knows of no parts."""

    old: bool = False
    asked: list[list[bytes] | None] = field(default_factory=list)

    def keys(self, operation_id: str, request: KeysRequest, pause: object) -> KeysReply:
        self.asked.append(request.packs)
        wanted = request.packs
        if wanted is None or self.old:
            few = self.old or request.at_most is None or len(KEYS) <= request.at_most
            wanted = [*KEYS] if few else []
        found = {each: KEYS[each] for each in wanted if each in KEYS}
        told = SessionKeys(manifest=b"m" * 32, packs=found)
        return KeysReply(sealed=seal_session(told, request.session_public_key, operation_id))


def asking(control: ControlPlane) -> PointKeys:
    held = HeldLease(control, Lease(operation_id="op", epoch=3), FakeClock(), 5.0)
    return PointKeys(held, SystemChance())


def test_a_point_of_few_packs_is_opened_in_one_request() -> None:
    control = ControlPlane()
    keys = asking(control)
    keys.need(KEYS)
    assert keys.packs == KEYS
    assert keys.manifest == b"m" * 32
    assert control.asked == [None]


def test_many_are_asked_for_in_parts_and_none_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(point_keys, "AT_ONCE", 3)
    control = ControlPlane()
    keys = asking(control)
    assert keys.packs == {}
    first, *others = KEYS
    keys.need([first])
    keys.need([*KEYS, LOST])
    keys.need([first, LOST])
    assert keys.packs == KEYS
    assert control.asked == [None, [first], others[:3], others[3:], [LOST]]


def test_a_control_plane_of_before_gives_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(point_keys, "AT_ONCE", 3)
    control = ControlPlane(old=True)
    keys = asking(control)
    keys.need(KEYS)
    assert keys.packs == KEYS
    assert control.asked == [None]
