"""What the values of a query (graph_query.py) come to, one row at a time.

Texts, numbers, booleans, objects and lists are those of JSON; a time is an Instant. What is not
there is None, and equal to nothing: no row is refused for what it has not.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from whenever import Instant

from strongroom.model.arm import read_instant
from strongroom.model.errors import Invalid

_LONGEST = 1 << 16  # characters that texts are joined to
Row = Mapping[str, Any]
Value = Callable[[Row], Any]


def column(name: str) -> Value:
    """Of a row; its spelling counts, as in Azure."""
    return lambda row: row.get(name)


def inner(of: Value, key: str | int) -> Value:
    """A member of an object, by name, or of a list, by number from 0."""

    def found(row: Row) -> Any:  # noqa: ANN401 - any JSON
        whole = of(row)
        if isinstance(key, str):
            return whole.get(key) if isinstance(whole, Mapping) else None
        return whole[key] if isinstance(whole, list) and key < len(whole) else None

    return found


def literal(kind: str, text: str) -> Value:
    """kind: text (with its quotes) | number | date | truth. Raises Invalid for what is no time."""
    told: Any = text[1:-1]
    if kind == "number":
        told = float(text)
    elif kind == "date":
        told = read_instant(text.replace(" ", "T"), "datetime()")
    elif kind == "truth":
        told = text.lower() == "true"
    return lambda _: told


def truth(value: object) -> bool:
    """Whether a row stays."""
    return value is True


def text_of(value: object) -> str:
    """As tostring() has it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value.format_iso() if isinstance(value, Instant) else str(value)


def any_of(found: Sequence[Value]) -> Value:
    """`or`."""
    return lambda row: any(truth(each(row)) for each in found)


def all_of(found: Sequence[Value]) -> Value:
    """`and`."""
    return lambda row: all(truth(each(row)) for each in found)


def compare(sign: str, left: Value, right: Value) -> Value:
    """One of COMPARISONS. What is compared with a time is read as one, with a number as one."""

    def holds(row: Row) -> bool:
        one, other = _alike(left(row), right(row))
        if one is None or other is None:
            return sign in {"!=", "!~"} and one is not other
        return _holds(sign, one, other)

    return holds


def _alike(one: Any, other: Any) -> tuple[Any, Any]:  # noqa: ANN401 - any JSON
    """Both of one kind: times, numbers, or else texts; None for what cannot be."""
    if one is None or other is None:
        return one, other
    if isinstance(one, Instant) or isinstance(other, Instant):
        return _time(one), _time(other)
    if _is_number(one) and _is_number(other):
        return one, other
    return text_of(one), text_of(other)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _time(value: object) -> Instant | None:
    if isinstance(value, Instant):
        return value
    try:
        return read_instant(text_of(value), "")
    except Invalid:
        return None


def _holds(sign: str, one: Any, other: Any) -> bool:  # noqa: ANN401 - alike
    if sign in _LOOSE:
        return _LOOSE[sign](text_of(one).lower(), text_of(other).lower())
    return bool(_STRICT[sign](one, other))


_STRICT: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_LOOSE: dict[str, Callable[[str, str], bool]] = {
    "=~": operator.eq,
    "!~": operator.ne,
    "startswith": str.startswith,
    "contains": operator.contains,
}
COMPARISONS = (*_STRICT, *_LOOSE)


def member(sign: str, left: Value, listed: Sequence[str]) -> Value:
    """`in`, `in~`, `!in`, `!in~`: with a tilde the case of letters does not count."""
    same = str.lower if sign.endswith("~") else str
    known = {same(each) for each in listed}
    return lambda row: (same(text_of(left(row))) in known) is not sign.startswith("!")


def called(name: str, given: Sequence[Value]) -> Value | None:
    """A function of so many values; None for one that is not known."""
    if name == "case" and len(given) % 2:
        return _case(given)
    if name == "strcat" and given:
        return lambda row: _joined([each(row) for each in given])
    known = _KNOWN.get((name, len(given)))
    return None if known is None else lambda row: known(*(each(row) for each in given))


def _case(given: Sequence[Value]) -> Value:
    """The value behind the first condition that holds; the last one where none does."""

    def found(row: Row) -> Any:  # noqa: ANN401 - any JSON
        for condition, value in zip(given[:-1:2], given[1::2], strict=True):
            if truth(condition(row)):
                return value(row)
        return given[-1](row)

    return found


def _joined(parts: Sequence[object]) -> str:
    text = "".join(map(text_of, parts))
    if len(text) > _LONGEST:
        raise Invalid(f"strcat() makes more than {_LONGEST} characters", code="InvalidQuery")
    return text


def _split(whole: object, by: object) -> list[str]:
    text, mark = text_of(whole), text_of(by)
    return text.split(mark) if mark else [text]


_KNOWN: dict[tuple[str, int], Callable[..., Any]] = {
    ("tolower", 1): lambda value: text_of(value).lower(),
    ("toupper", 1): lambda value: text_of(value).upper(),
    ("tostring", 1): text_of,
    ("not", 1): lambda value: not truth(value),
    ("split", 2): _split,
}
