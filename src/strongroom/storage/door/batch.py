"""Blob Batch, of deletes only: many requests in one body, each with its own credential.

obstore sends every delete in this form, even of one blob. Each part is a whole request: it goes
through the same door as one that came alone, and its answer says what became of it.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from strongroom.model.errors import Invalid
from strongroom.storage.door.answer import Answer
from strongroom.storage.door.body import Work
from strongroom.storage.door.grant import Grant
from strongroom.storage.door.request import Request

MAX_BATCH_BYTES = 4 << 20
MAX_PARTS = 256
Door = Callable[[Mapping[str, Any], Request], Awaitable[Answer]]
_BOUNDARY = re.compile(r'multipart/mixed\s*;\s*boundary="?([\w\'()+,./:=?-]{1,70})"?', re.ASCII)
_LINE = re.compile(r"DELETE (/[\x21-\x7e]*) HTTP/1\.1", re.ASCII)


@dataclass(frozen=True, slots=True)
class Part:
    """One request of a batch."""

    content_id: str
    target: str
    headers: list[tuple[bytes, bytes]]


class Batch:
    """The verb. `door` answers one request, refusals included."""

    def __init__(self, door: Door, work: Work) -> None:
        self._door = door
        self._work = work

    async def submit(self, request: Request, grant: Grant) -> Answer:
        """Do the parts in turn; 202 whatever became of each."""
        grant.need("d")
        match = _BOUNDARY.match(request.headers.get("content-type", ""))
        if match is None:
            raise Invalid("a batch is multipart/mixed", code="InvalidHeaderValue")
        body = await self._work.collect(request, MAX_BATCH_BYTES)
        boundary = f"batchresponse_{request.id}"
        told = []
        for part in read_parts(body, match.group(1)):
            path, _, query = part.target.partition("?")
            scope = {
                "method": "DELETE",
                "raw_path": path.encode(),
                "query_string": query.encode(),
                "headers": part.headers,
                "scheme": "https" if request.secure else "http",
                "client": (request.client, 0),
            }
            told.append(_told(part, await self._door(scope, request)))
        text = "".join(f"--{boundary}\r\n{each}" for each in told) + f"--{boundary}--\r\n"
        headers = {"content-type": f"multipart/mixed; boundary={boundary}"}
        return Answer(202, headers, text.encode("latin-1"))


def read_parts(body: bytes, boundary: str) -> list[Part]:
    """Raises Invalid for anything but whole DELETE requests between boundaries."""
    text = body.decode("latin-1").replace("\r\n", "\n")
    before, *parts = text.split(f"--{boundary}")
    if before.strip() or not parts or parts.pop().strip() != "--":
        raise _unreadable()
    if not 0 < len(parts) <= MAX_PARTS:
        raise Invalid("a batch has 1 to 256 requests", code="InvalidInput")
    return [_read_part(part) for part in parts]


def _read_part(text: str) -> Part:
    about, _, request = text.strip("\n").partition("\n\n")
    ids = [
        value
        for name, value in _headers(about.split("\n"))
        if name.lower() == b"content-id" and value.isdigit()
    ]
    line, *headers = request.strip("\n").split("\n")
    match = _LINE.fullmatch(line)
    if match is None or len(ids) != 1:
        raise _unreadable()
    return Part(ids[0].decode(), match.group(1), _headers(headers))


def _headers(lines: list[str]) -> list[tuple[bytes, bytes]]:
    pairs = []
    for line in filter(None, lines):
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise _unreadable()
        pairs.append((name.strip().encode("latin-1"), value.strip().encode("latin-1")))
    return pairs


def _told(part: Part, answer: Answer) -> str:
    body = answer.body.decode() if isinstance(answer.body, bytes) else ""
    headers = {**answer.headers, "content-length": str(len(body.encode()))}
    lines = [f"HTTP/1.1 {answer.status} {'Accepted' if answer.status == 202 else 'Refused'}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    about = f"Content-Type: application/http\r\nContent-ID: {part.content_id}\r\n\r\n"
    return about + "\r\n".join(lines) + f"\r\n\r\n{body}\r\n"


def _unreadable() -> Invalid:
    return Invalid("the batch cannot be read", code="InvalidInput")
