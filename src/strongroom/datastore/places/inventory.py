"""What lies at the storage endpoint, whoever knows of it: containers, and the holds in its book.

Source: storage/inventory_verbs.py, the storage endpoint's own verbs (docs/decisions/0191).
"""

from typing import TypeVar

import msgspec

from strongroom.datastore.places.container import Container
from strongroom.model.errors import StoreUnavailable

_Told = TypeVar("_Told", bound=msgspec.Struct)


class _Containers(msgspec.Struct):
    containers: list[str]


class _Book(msgspec.Struct):
    holds: list[tuple[str, str]]


class Inventory(Container):
    """By the account key; over the account's URL, or a container's."""

    def containers(self) -> list[str]:
        """Every container's name: of the account."""
        return self._read({"comp": "inventory"}, _Containers).containers

    def holds(self) -> list[tuple[str, str]]:
        """(name, the hold's id) of each legal hold in the endpoint's book: of a container."""
        query = {"comp": "book", "restype": "container"}
        return self._read(query, _Book).holds

    def remove(self) -> bool:
        """Delete an empty container; one that is gone already is as good. False: it is kept."""
        status, code, _ = self._send("DELETE", {"restype": "container"}, b"")
        if status in {409, 412}:
            return False
        if status not in {202, 404}:
            raise StoreUnavailable(f"the storage endpoint answers {status} {code}")
        return True

    def _read(self, query: dict[str, str], kind: type[_Told]) -> _Told:
        status, code, answer = self._send("GET", query, b"")
        if status != 200:
            raise StoreUnavailable(f"the storage endpoint answers {status} {code}")
        try:
            return msgspec.json.decode(answer, type=kind)
        except msgspec.MsgspecError as error:
            raise StoreUnavailable("the storage endpoint's answer cannot be read") from error
