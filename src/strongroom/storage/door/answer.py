"""What goes back: status, headers, and a body that is bytes or a stretch of a blob."""

from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from whenever import Instant

from strongroom.model.errors import VaultError
from strongroom.storage.back_ends.back_end import Reading
from strongroom.storage.door.codes import STATUS, code_of


@dataclass(frozen=True, slots=True)
class Stretch:
    """Bytes of an open blob; whoever sends them closes it."""

    reading: Reading
    length: int


@dataclass(frozen=True, slots=True)
class Answer:
    """Header names in lower case. `length` when a HEAD tells the length of a body unsent."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | Stretch = b""
    length: int | None = None

    @property
    def content_length(self) -> int:
        """Of the body, sent or not."""
        if self.length is not None:
            return self.length
        return self.body.length if isinstance(self.body, Stretch) else len(self.body)


def error_answer(error: VaultError, request_id: str, now: Instant) -> Answer:
    """Azure's form: the code in a header and in an XML body."""
    code = code_of(error)
    status = STATUS[code]
    headers = {"x-ms-error-code": code}
    if status in (411, 413, 431):
        headers["connection"] = "close"  # the rest of such a request is not worth reading
    if status == 401:
        headers["www-authenticate"] = "SharedKey"
    if code == "InvalidRange":
        headers["content-range"] = f"bytes */{error.facts.get('size', '*')}"
    if status == 304:
        return Answer(status, headers)
    text = f"{error.message}\nRequestId:{request_id}\nTime:{now.format_iso()}"
    return Answer(status, headers | {"content-type": "application/xml"}, _error_xml(code, text))


def xml(body: str) -> bytes:
    """A document."""
    return f'<?xml version="1.0" encoding="utf-8"?>{body}'.encode()


def _error_xml(code: str, text: str) -> bytes:
    return xml(f"<Error><Code>{escape(code)}</Code><Message>{escape(text)}</Message></Error>")
