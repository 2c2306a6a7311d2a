"""The XML that Azure's clients read and write."""

import base64
import binascii
import re
from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

from strongroom.model.errors import Invalid
from strongroom.storage.basis.blob import Blob, Container, Page
from strongroom.storage.basis.protocol import http_date
from strongroom.storage.blobs.blocks import checked_block_id
from strongroom.storage.door.answer import xml

# A block list is flat, so it is read by its grammar: no XML parser, no entities, no surprises.
_ENTRY = r"<(Latest|Uncommitted|Committed)>\s*([A-Za-z0-9+/=]{1,88})\s*</\1>\s*"
_BLOCK = re.compile(_ENTRY)
_EMPTY_LIST = re.compile(r"\s*<BlockList\s*/>\s*")


def read_block_list(body: bytes) -> list[str]:
    """The block ids in order. Raises Invalid (InvalidXmlDocument, InvalidBlockList)."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _bad_document() from error
    text = re.sub(r"\A\s*<\?xml[^<>?]{0,200}\?>", "", text)
    if _EMPTY_LIST.fullmatch(text):
        return []
    text = text.strip()
    if not (text.startswith("<BlockList>") and text.endswith("</BlockList>")):
        raise _bad_document()
    at, end = len("<BlockList>"), len(text) - len("</BlockList>")
    ids = []
    at += len(text[at:end]) - len(text[at:end].lstrip())
    while at < end:
        match = _BLOCK.match(text, at, end)
        if match is None:
            raise _bad_document()
        if match.group(1) == "Committed":
            raise Invalid("a blob has no committed blocks to reuse", code="InvalidBlockList")
        ids.append(checked_block_id(match.group(2)))
        at = match.end()
    return ids


def blob_listing(
    container: str, page: Page, asked: dict[str, str], *, with_metadata: bool
) -> bytes:
    """`asked`: the request's Prefix, Marker, MaxResults and Delimiter, to be echoed."""
    rows = [(blob.name, _blob_row(blob, with_metadata=with_metadata)) for blob in page.blobs]
    rows += [
        (name, f"<BlobPrefix><Name>{escape(name)}</Name></BlobPrefix>") for name in page.prefixes
    ]
    body = "".join(row for _, row in sorted(rows))
    return _results(f" ContainerName={quoteattr(container)}", asked, "Blobs", body, page.after)


def container_listing(
    containers: Sequence[Container], asked: dict[str, str], after: str | None
) -> bytes:
    """Of the account."""
    body = "".join(
        f"<Container><Name>{escape(each.name)}</Name><Properties>"
        f"<Last-Modified>{http_date(each.created)}</Last-Modified><Etag>{escape(each.etag)}</Etag>"
        "<LeaseStatus>unlocked</LeaseStatus><LeaseState>available</LeaseState>"
        f"</Properties>{_metadata(each.metadata)}</Container>"
        for each in containers
    )
    return _results("", asked, "Containers", body, after)


def marker(after: str | None) -> str:
    """Where the next page starts, in letters that stand anywhere."""
    return base64.urlsafe_b64encode(after.encode()).decode() if after else ""


def read_marker(text: str) -> str:
    """The reverse. Raises Invalid for what this store never gave out."""
    try:
        return base64.b64decode(text, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise Invalid("the marker is not one", code="OutOfRangeQueryParameterValue") from error


def _results(
    attributes: str, asked: dict[str, str], name: str, body: str, after: str | None
) -> bytes:
    echo = "".join(f"<{key}>{escape(value)}</{key}>" for key, value in asked.items())
    return xml(
        f'<EnumerationResults ServiceEndpoint=""{attributes}>{echo}<{name}>{body}</{name}>'
        f"<NextMarker>{marker(after)}</NextMarker></EnumerationResults>"
    )


def _blob_row(blob: Blob, *, with_metadata: bool) -> str:
    md5 = base64.b64encode(blob.md5).decode() if blob.md5 else ""
    date = http_date(blob.created)
    return (
        f"<Blob><Name>{escape(blob.name)}</Name><Properties>"
        f"<Creation-Time>{date}</Creation-Time><Last-Modified>{date}</Last-Modified>"
        f"<Etag>{escape(blob.etag)}</Etag><Content-Length>{blob.size}</Content-Length>"
        f"<Content-Type>{escape(blob.content_type)}</Content-Type><Content-MD5>{md5}</Content-MD5>"
        "<BlobType>BlockBlob</BlobType><LeaseStatus>unlocked</LeaseStatus>"
        "<LeaseState>available</LeaseState><ServerEncrypted>false</ServerEncrypted></Properties>"
        f"{_metadata(blob.facts.metadata) if with_metadata else ''}</Blob>"
    )


def _metadata(metadata: object) -> str:
    if not isinstance(metadata, dict) or not metadata:
        return ""
    rows = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in metadata.items())
    return f"<Metadata>{rows}</Metadata>"


def _bad_document() -> Invalid:
    return Invalid("the block list cannot be read", code="InvalidXmlDocument")
