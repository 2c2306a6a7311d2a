"""Where a row stands in what Azure Resource Graph goes through: a page begins behind such a place.

What comes or goes between two pages moves no other row. Places compare in the order of the rows:
vaults by name; instances by vault and name; jobs by vault, the newest first.
"""

import re
from typing import NamedTuple

from whenever import Instant

from strongroom.model import arm
from strongroom.model.arm import VaultRef

_TOKEN = re.compile(
    r"(?P<kind>[0-2])~(?P<vault>[-a-z0-9]{1,50})~(?P<group>[-\w.()]{1,90})"
    r"~(?P<name>[-._a-z0-9]{0,150})~(?P<at>-?[0-9]{1,20})~(?P<number>-?[0-9]{1,45})"
)
_VAULT, _INSTANCE, _JOB = range(3)


class Place(NamedTuple):
    """Of one row. `at` and `number` are a job's start, in microseconds, and id, both negative."""

    kind: int
    vault: str
    group: str
    name: str = ""
    at: int = 0
    number: int = 0

    @property
    def token(self) -> str:
        """For clients, who send it as it came."""
        return "~".join(str(each) for each in self)


def of_vault(vault: VaultRef) -> Place:
    """A vault's."""
    group, name = vault.key
    return Place(_VAULT, name, group)


def of_instance(vault: VaultRef, instance: str) -> Place:
    """That of a backup instance."""
    group, name = vault.key
    return Place(_INSTANCE, name, group, instance.lower())


def of_job(vault: VaultRef, at: Instant, job_id: str) -> Place:
    """That of a job, which began then."""
    group, name = vault.key
    number = int(job_id.replace("-", ""), 16)
    return Place(_JOB, name, group, "", -at.timestamp(unit="microsecond"), -number)


def read_place(token: str) -> Place | None:
    """What a token says; None for none. Raises Invalid."""
    if not token:
        return None
    found = _TOKEN.fullmatch(token)
    if found is None:
        raise arm.invalid(f"{token[:40]!r} is no $skipToken of ours", "send it as it came")
    kind, vault, group, name, at, number = found.groups()
    return Place(int(kind), vault, group, name, int(at), int(number))
