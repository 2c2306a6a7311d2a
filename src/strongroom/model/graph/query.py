"""The part of Kusto's query language that clients of Azure Backup ask Azure Resource Graph in.

    TABLE | where CONDITION | extend NAME = VALUE, ... | project NAME [= VALUE], ...

TABLE is `resources` or `recoveryservicesresources`. Conditions: `== != =~ !~ < <= > >= startswith
contains in in~ !in !in~`, `and`, `or`, `not()`; values: texts, numbers, true, false, columns
(`properties.a.b`, `x[0]`), `case strcat split tolower toupper tostring datetime`. Whatever else it
says is refused by name: a query that was half understood would be a wrong answer.

Source: azure-cli-extensions, dataprotection 1.5.4, manual/backupcenter_helper.py.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import msgspec

from strongroom.model.errors import Invalid
from strongroom.model.graph import values

TABLES = ("resources", "recoveryservicesresources")
LONGEST = 8192  # characters of a query
_DEEPEST = 20
_MOST = 200  # columns, calls and comparisons: each is worked out for every row
_TOKEN = re.compile(
    r"\s*(?:(?P<date>datetime\(\s*(?P<at>[-0-9T:.Z+ ]*)\))|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<number>\d+(?:\.\d+)?)|(?P<text>'[^'\\]*'|\"[^\"\\]*\")"
    r"|(?P<mark>=~|!~|==|!=|<=|>=|!in~|!in\b|[|=<>(),.\[\]~]))",
)
Row = Mapping[str, Any]
Value = Callable[[Row], Any]


class Step(msgspec.Struct, frozen=True):
    """One stage of the pipe. kind: where | extend | project; `named` are its columns by name."""

    kind: str
    named: tuple[tuple[str, Value], ...]


class Query(msgspec.Struct, frozen=True):
    """A query that was understood."""

    table: str
    steps: tuple[Step, ...]

    def run(self, row: Row) -> Row | None:
        """What is left of a row of the table; None when nothing is."""
        for step in self.steps:
            if step.kind == "where":
                if not values.truth(step.named[0][1](row)):
                    return None
                continue
            made = {name: value(row) for name, value in step.named}
            row = made if step.kind == "project" else {**row, **made}
        return row


def read_query(text: str) -> Query:
    """Raises Invalid for what is not read here."""
    if len(text) > LONGEST:
        raise _refusal(f"the query has more than {LONGEST} characters")
    reader = _Reader(_tokens(text))
    table = reader.word().lower()
    if table not in TABLES:
        raise _refusal(f"there is no table {table[:60]!r} here", f"ask {' or '.join(TABLES)}")
    steps = []
    while reader.takes("|"):
        steps.append(reader.step())
    if reader.ahead != "":
        reader.stop()
    return Query(table, tuple(steps))


def _refusal(message: str, hint: str = "") -> Invalid:
    told = hint or "where, extend and project are read: docs/azure-compatibility.md"
    return Invalid(message, hint=told, code="InvalidQuery")


def _tokens(text: str) -> list[tuple[str, str]]:
    """(kind, text) of each: date, name, number, text or mark."""
    found, at, text = [], 0, text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise _refusal(f"the query cannot be read from {text[at : at + 40]!r} on")
        kind = "date" if match["date"] else str(match.lastgroup)
        found.append((kind, match["at"].strip() if kind == "date" else match[kind]))
        at = match.end()
    return found


class _Reader:
    """Goes through the tokens of one query once, from the left to the right."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0
        self._work = 0

    @property
    def ahead(self) -> str:
        """The next token, a word in lower case; empty at the end, and for a text."""
        kind, text = self._next
        return text.lower() if kind in {"name", "mark"} else kind

    @property
    def _next(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("", "")

    def takes(self, *wanted: str) -> str:
        """The next token, if it is one of these; else empty."""
        found = self.ahead if self.ahead in wanted else ""
        self._at += bool(found)
        return found

    def needs(self, wanted: str) -> None:
        if not self.takes(wanted):
            self.stop()

    def stop(self) -> NoReturn:
        _, text = self._next
        raise _refusal(f"{text[:60]!r} is not read here" if text else "the query ends too soon")

    def _count(self) -> None:
        self._work += 1
        if self._work > _MOST:
            raise _refusal(f"the query has more than {_MOST} columns, calls and comparisons")

    def word(self) -> str:
        kind, text = self._next
        if kind != "name":
            self.stop()
        self._at += 1
        return text

    def step(self) -> Step:
        kind = self.takes("where", "extend", "project")
        if kind == "where":
            return Step(kind, (("", self.condition()),))
        if not kind:
            self.stop()
        named = [self._column(kind)]
        while self.takes(","):
            named.append(self._column(kind))
        return Step(kind, tuple(named))

    def _column(self, kind: str) -> tuple[str, Value]:
        name = self.word()
        if kind == "extend" or self.ahead == "=":
            self.needs("=")
            return name, self.condition()
        return name, values.column(name)

    def condition(self) -> Value:
        """Alternatives, each of which all hold."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _refusal("the query is nested too deeply")
        found = [self._all()]
        while self.takes("or"):
            found.append(self._all())
        self._depth -= 1
        return found[0] if len(found) == 1 else values.any_of(found)

    def _all(self) -> Value:
        found = [self._comparison()]
        while self.takes("and"):
            found.append(self._comparison())
        return found[0] if len(found) == 1 else values.all_of(found)

    def _comparison(self) -> Value:
        left = self._value()
        self._count()
        operator = self.takes(*values.COMPARISONS)
        if operator:
            return values.compare(operator, left, self._value())
        member = self.takes("in", "!in", "!in~")
        if not member:
            return left
        if member == "in" and self.takes("~"):
            member = "in~"
        self.needs("(")
        return values.member(member, left, self._texts())

    def _list(self) -> list[Value]:
        """Up to the closing bracket, which is taken; the opening one was."""
        if self.takes(")"):
            return []
        found = [self.condition()]
        while self.takes(","):
            found.append(self.condition())
        self.needs(")")
        return found

    def _texts(self) -> list[str]:
        """What stands in a list to be looked through: texts, and nothing else."""
        found: list[str] = []
        while not self.takes(")"):
            if found:
                self.needs(",")
            kind, text = self._next
            if kind != "text":
                self.stop()
            self._at += 1
            found.append(text[1:-1])
        return found

    def _value(self) -> Value:
        found = self._plain()
        while mark := self.takes(".", "["):
            if mark == ".":
                found = values.inner(found, self.word())
                continue
            kind, text = self._next
            if kind not in {"number", "text"} or "." in text:
                self.stop()
            self._at += 1
            found = values.inner(found, int(text) if kind == "number" else text[1:-1])
            self.needs("]")
        return found

    def _plain(self) -> Value:
        kind, text = self._next
        if self.takes("("):
            found = self.condition()
            self.needs(")")
            return found
        if kind in {"text", "number", "date"}:
            self._at += 1
            return values.literal(kind, text)
        self._count()
        name = self.word()
        if not self.takes("("):
            is_truth = name.lower() in {"true", "false"}
            return values.literal("truth", name) if is_truth else values.column(name)
        given = self._list()
        call = values.called(name.lower(), given)
        if call is None:
            raise _refusal(f"{name[:60]}() of {len(given)} is not read here")
        return call
