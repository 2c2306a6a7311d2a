"""A JSON object of ARM's, read member by member: what is wrong is told with the path of its field.

Keys may come in any case, unknown ones are ignored, nulls count as absent (Terraform sends both).
A path is as a person would write it: `policyRules[0].trigger.schedule.timeZone`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from strongroom.model.errors import Invalid

_MOST_ITEMS = 1000


class Fields:
    """`where` is the path of the object itself; empty for the outermost."""

    def __init__(self, value: object, where: str = "") -> None:
        if not isinstance(value, Mapping):
            raise wrong(where, "is not an object", "send a JSON object")
        self._values = {str(k).lower(): v for k, v in value.items() if v is not None}
        self.where = where

    def path(self, name: str) -> str:
        """The path of a member."""
        return f"{self.where}.{name}" if self.where else name

    def has(self, name: str) -> bool:
        """Whether it is there and not null."""
        return name.lower() in self._values

    def items(self, name: str) -> list[Any]:
        """A list; empty when it is absent."""
        found = self._values.get(name.lower(), [])
        if not isinstance(found, list) or len(found) > _MOST_ITEMS:
            raise wrong(self.path(name), "is not a list", f"send at most {_MOST_ITEMS} in a list")
        return found

    def bodies(self, name: str) -> list["Fields"]:
        """A list of objects; empty when it is absent."""
        path = self.path(name)
        return [Fields(each, f"{path}[{n}]") for n, each in enumerate(self.items(name))]

    def body(self, name: str) -> "Fields":
        """An object that must be there."""
        return Fields(self._values.get(name.lower()), self.path(name))

    def text(self, name: str, default: str = "") -> str:
        """A string."""
        found = self._values.get(name.lower(), default)
        if not isinstance(found, str):
            raise wrong(self.path(name), "is not text", "send a string")
        return found

    def flag(self, name: str) -> bool:
        """Whether it is true."""
        return self._values.get(name.lower(), False) is True

    def number(self, name: str, default: int) -> int:
        """A whole number."""
        found = self._values.get(name.lower(), default)
        if isinstance(found, bool) or not isinstance(found, int):
            raise wrong(self.path(name), "is not a whole number", "send an integer")
        return found

    def check_part(self, part: str, name: str, only: str) -> None:
        """The part is absent, or its word is the only one that is offered."""
        if self.has(part):
            inner = self.body(part)
            found = inner.text(name, only)
            if found.lower() not in {only.lower(), ""}:
                raise wrong(inner.path(name), f"{found[:60]!r} is not offered", f"use {only}")

    def chosen(self, name: str, allowed: tuple[str, ...]) -> tuple[str, ...]:
        """A list of words, each of them one of those allowed, in their own case."""
        by_key = {value.lower(): value for value in allowed}
        found = []
        for value in self.items(name):
            if str(value).lower() not in by_key:
                hint = f"use one of {', '.join(allowed)}"
                raise wrong(self.path(name), f"{str(value)[:40]!r} is unknown", hint)
            found.append(by_key[str(value).lower()])
        return tuple(found)


def wrong(field: str, what: str, hint: str) -> Invalid:
    """The error of one field: `facts["field"]` is its path, and ARM's `target`."""
    return Invalid(
        f"{field}: {what}" if field else f"the body {what}",
        hint=hint,
        code="BMSUserErrorInvalidInput",
        facts={"field": field},
    )


@contextmanager
def naming(field: str) -> Iterator[None]:
    """What is Invalid in here is so because of this field."""
    try:
        yield
    except Invalid as error:
        if "field" in error.facts:
            raise
        raise wrong(field, error.message, error.hint) from error
