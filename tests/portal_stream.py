"""What comes to a page of the portal while it is open."""

import itertools
import json
from collections.abc import Iterator

import httpx


def told_until(parts: Iterator[tuple[str, str]], **words: str) -> dict[str, str]:
    """Each part as it came last, once each of these has its words."""
    found: dict[str, str] = {}
    for name, html in itertools.islice(parts, 200):
        found[name] = html
        if all(each in found.get(part, "") for part, each in words.items()):
            return found
    raise AssertionError(f"not told: {words}")


def parts_of(answer: httpx.Response) -> Iterator[tuple[str, str]]:
    """(id, HTML) of each part as it comes; other events by their name."""
    kind = ""
    for line in answer.iter_lines():
        name, _, data = line.partition(": ")
        if name == "event":
            kind = data
        elif name == "data" and kind == "part":
            told = json.loads(data)
            yield told["id"], told["html"]
        elif name == "data":
            yield kind, data
