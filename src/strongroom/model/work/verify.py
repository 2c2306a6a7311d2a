"""The order to read every byte of a recovery point and prove it, and what comes of it.

Lease.verify VerifyOrder -> Completion.verify VerifyResult
"""

import msgspec

MOST_PLACES = 20  # of one object, that are told one by one


class _Message(msgspec.Struct, rename="camel", omit_defaults=True, kw_only=True):
    """As every message of the agent's protocol."""


class VerifyOrder(_Message):
    """Read a point and keep nothing of it. `chunk_key`: of a logical one, as in DumpWish."""

    job_id: str
    recovery_point_id: str
    instance_id: str
    manifest_name: str  # p/<recovery point id>.manifest
    chunk_key: bytes = b""


class Damage(_Message):
    """What is wrong with one object in storage, and what of the server is lost with it.

    places: "base/5/1259, block 7" and the like, the first of them; `more` are not told.
    """

    name: str
    problem: str
    places: list[str] = []
    more: int = 0


class VerifyResult(_Message):
    """What was read: raw bytes, and bytes fetched; an empty `damage` is the proof."""

    files: int
    checked_bytes: int
    fetched_bytes: int
    damage: list[Damage] = []
