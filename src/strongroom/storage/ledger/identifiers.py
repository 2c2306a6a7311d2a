"""Signed identifiers: a container's stored access policies, and what was put under each of them.

A SAS that names one is worth nothing once it is withdrawn. Azure's verb replaces the whole list of
a container; giving and withdrawing a single one are ours (docs/decisions/0012).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from strongroom.model.errors import Forbidden, Invalid
from strongroom.model.identities.sas import MAX_IDENTIFIER, AccessPolicy
from strongroom.storage.ledger.ledger import Ledger, instant_of, micros_of

MOST_IDENTIFIERS = 100  # a container; Azure's rule is 5
MOST_QUOTA = 1 << 60  # bytes
_PRINTABLE = re.compile(rf"[^\x00-\x1f\x7f]{{1,{MAX_IDENTIFIER}}}")
_COLUMNS = "id, starts, expires, permissions, quota, used"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifier:
    """`quota`: bytes that may be put under it (None: no bound); `used`: bytes that were."""

    id: str
    policy: AccessPolicy = field(default_factory=AccessPolicy)
    quota: int | None = None
    used: int = 0


class Identifiers:
    """All of them, in the ledger. Thread-safe as the ledger is."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def of(self, container: str) -> list[Identifier]:
        """A container's, in the order of ids. Raises ObjectMissing (ContainerNotFound)."""
        self._ledger.container(container)
        query = f"SELECT {_COLUMNS} FROM identifiers WHERE container = ? ORDER BY id"  # noqa: S608
        with self._ledger.reading() as connection:
            return [_identifier(row) for row in connection.execute(query, [container])]

    def find(self, container: str, identifier: str) -> Identifier | None:
        """One, or None: withdrawn, never given, or of no such container."""
        query = f"SELECT {_COLUMNS} FROM identifiers WHERE container = ? AND id = ?"  # noqa: S608
        with self._ledger.reading() as connection:
            row = connection.execute(query, [container, identifier]).fetchone()
        return None if row is None else _identifier(row)

    def check(self, container: str, identifier: str) -> None:
        """Raise Forbidden (AuthenticationFailed) when it has been withdrawn; "" never is."""
        if identifier and self.find(container, identifier) is None:
            raise withdrawn(identifier)

    def replace(self, container: str, wanted: Sequence[Identifier]) -> None:
        """Azure's Set Container ACL: what is not wanted is withdrawn.

        What stays keeps its quota and its count. Raises ObjectMissing or Invalid.
        """
        self._ledger.container(container)
        if len({each.id for each in wanted}) != len(wanted) or len(wanted) > MOST_IDENTIFIERS:
            raise Invalid(
                f"a container has at most {MOST_IDENTIFIERS} identifiers, each once",
                code="InvalidXmlDocument",
            )
        marks = ",".join("?" * len(wanted))
        gone = f"DELETE FROM identifiers WHERE container = ? AND id NOT IN ({marks})"  # noqa: S608
        with self._ledger.writing() as connection:
            connection.execute(
                gone, [container, *(checked_identifier(each.id) for each in wanted)]
            )
            connection.executemany(
                "INSERT INTO identifiers (container, id, starts, expires, permissions) "
                "VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET starts = excluded.starts, "
                "expires = excluded.expires, permissions = excluded.permissions",
                [[container, each.id, *_said(each.policy)] for each in wanted],
            )

    def give(self, container: str, identifier: str, quota: int | None) -> None:
        """Add one with an empty policy; one that is there stays as it is, with its count.

        Raises ObjectMissing (ContainerNotFound) or Invalid.
        """
        self._ledger.container(container)
        checked_identifier(identifier)
        if quota is not None and not 0 <= quota <= MOST_QUOTA:
            raise Invalid("the quota is not a number of bytes", code="InvalidQueryParameterValue")
        with self._ledger.writing() as connection:
            query = "SELECT count(*) FROM identifiers WHERE container = ? AND id <> ?"
            if (
                connection.execute(query, [container, identifier]).fetchone()[0]
                >= MOST_IDENTIFIERS
            ):
                raise Invalid(
                    f"the container has {MOST_IDENTIFIERS} identifiers, and takes no more",
                    hint="Withdraw those of work that has ended.",
                )
            connection.execute(
                "INSERT INTO identifiers (container, id, permissions, quota) "
                "VALUES (?, ?, '', ?) ON CONFLICT DO NOTHING",
                [container, identifier, quota],
            )

    def withdraw(self, container: str, identifier: str) -> bool:
        """From here on its SAS are refused. Whether it was there. Raises ObjectMissing."""
        self._ledger.container(container)
        with self._ledger.writing() as connection:
            query = "DELETE FROM identifiers WHERE container = ? AND id = ?"
            return connection.execute(query, [container, identifier]).rowcount == 1

    def charge(self, container: str, identifier: str, size: int) -> None:
        """Count `size` bytes before the first of them arrives; nothing is ever given back.

        Survives this process at once, and the power with the next put that is committed. Raises
        Forbidden: InsufficientAccountPermissions beyond the quota, else AuthenticationFailed.
        """
        if not identifier:
            return
        query = (
            "UPDATE identifiers SET used = used + ? WHERE container = ? AND id = ? "
            "AND (quota IS NULL OR used + ? <= quota)"
        )
        if self._ledger.note(query, [size, container, identifier, size]) == 1:
            return
        self.check(container, identifier)
        raise Forbidden(
            f"the bytes that may be put under the identifier {identifier} are used up",
            code="InsufficientAccountPermissions",
        )


def checked_identifier(text: str) -> str:
    """1 to 64 visible characters. Raises Invalid."""
    if not _PRINTABLE.fullmatch(text):
        raise Invalid(
            f"an identifier has 1 to {MAX_IDENTIFIER} visible characters", code="InvalidInput"
        )
    return text


def withdrawn(identifier: str) -> Forbidden:
    """What a SAS hears whose identifier is not there."""
    return Forbidden(
        f"the identifier {identifier} of the signature is withdrawn, or was never given",
        code="AuthenticationFailed",
    )


def _identifier(row: Sequence[Any]) -> Identifier:
    identifier, starts, expires, permissions, quota, used = row
    policy = AccessPolicy(
        None if starts is None else instant_of(starts),
        None if expires is None else instant_of(expires),
        permissions,
    )
    return Identifier(id=identifier, policy=policy, quota=quota, used=used)


def _said(policy: AccessPolicy) -> list[Any]:
    times = [None if each is None else micros_of(each) for each in (policy.starts, policy.expires)]
    return [*times, policy.permissions]
