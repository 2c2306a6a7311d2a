"""Names of things, told apart by type: no bare string crosses a room's door."""

from typing import NewType
from uuid import UUID

from whenever import Instant

from strongroom.model.seams import Chance

PackId = NewType("PackId", UUID)
GenerationId = NewType("GenerationId", str)  # 32 hex digits
RecoveryPointId = NewType("RecoveryPointId", str)  # 32 hex digits
KeyId = NewType("KeyId", bytes)  # 16 bytes
InstanceId = NewType("InstanceId", str)  # 32 hex digits: the container's name too
JobId = NewType("JobId", str)  # canonical UUID text, as Azure shows it
OperationId = NewType("OperationId", str)  # an agent's share of a job
AgentId = NewType("AgentId", str)


def uuid7(now: Instant, chance: Chance) -> UUID:
    """A UUIDv7 (RFC 9562, 5.7): 48 bits of Unix milliseconds, then chance.

    Sorts by the *writer's* clock. Nothing that counts (order, retention, locks) reads the time
    out of it again.
    """
    milliseconds = now.timestamp(unit="millisecond") & ((1 << 48) - 1)
    noise = int.from_bytes(chance.bytes(10), "big")
    high = noise >> 68 & 0xFFF
    low = noise & ((1 << 62) - 1)
    return UUID(int=milliseconds << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low)


def uuid4(chance: Chance) -> UUID:
    """A random UUID (RFC 9562, 5.4) from the seam for chance."""
    return UUID(bytes=chance.bytes(16), version=4)
