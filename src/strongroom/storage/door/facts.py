"""Between headers and the facts of a blob: content type and its like, metadata, digests."""

import base64
import binascii
import re
from datetime import UTC
from email.utils import parsedate_to_datetime

from whenever import Instant

from strongroom.model.errors import Invalid
from strongroom.storage.basis.blob import Blob, Container, Facts
from strongroom.storage.basis.protocol import http_date
from strongroom.storage.door.request import Request
from strongroom.storage.ledger.locks import Lock

MAX_METADATA_BYTES = 8 * 1024
UNTIL = "x-ms-immutability-policy-until-date"
MODE = "x-ms-immutability-policy-mode"
_META = "x-ms-meta-"
_META_NAME = re.compile(r"[a-z0-9_][a-z0-9_-]{0,127}", flags=re.ASCII)
_VISIBLE = re.compile(r"[\x20-\x7e]{0,1024}")
_STANDARD = (
    *("content-type", "content-encoding", "content-language"),
    *("content-disposition", "cache-control"),
)
_OVERRIDES = {
    "rscc": "cache-control",
    "rscd": "content-disposition",
    "rsce": "content-encoding",
    "rscl": "content-language",
    "rsct": "content-type",
}
# What would need a verb that this store does not have, or a check that it cannot make.
_REFUSED = (
    *("x-ms-copy-source", "x-ms-structured-body", "x-ms-content-crc64", "x-ms-if-tags"),
    *("x-ms-encryption-key", "x-ms-encryption-scope", "x-ms-legal-hold", "x-ms-lease-id"),
    *(UNTIL, MODE, "x-ms-tags", "content-range"),
)


def refuse_unsupported(request: Request) -> None:
    """Raise Invalid rather than quietly not do what a header asks for."""
    for name in _REFUSED:
        if name in request.headers:
            raise Invalid(f"the header {name} is not supported", code="UnsupportedHeader")


def read_facts(request: Request, *, plain: bool) -> Facts:
    """From `x-ms-blob-content-*` and `x-ms-meta-*`; with `plain`, from Content-* too."""
    headers = {}
    for name in _STANDARD:
        value = request.headers.get(f"x-ms-blob-{name}")
        if value is None and plain:
            value = request.headers.get(name)
        if value:
            headers[name] = _visible(name, value)
    return Facts(headers=headers, metadata=read_metadata(request))


def read_metadata(request: Request) -> dict[str, str]:
    """Raises Invalid for names or sizes that Azure would refuse."""
    metadata = {
        name.removeprefix(_META): _visible(name, value)
        for name, value in request.headers.items()
        if name.startswith(_META)
    }
    if not all(_META_NAME.fullmatch(name) for name in metadata):
        raise Invalid("a metadata name is not allowed", code="InvalidMetadata")
    if sum(len(name) + len(value) for name, value in metadata.items()) > MAX_METADATA_BYTES:
        raise Invalid("the metadata is larger than 8 KiB", code="MetadataTooLarge")
    return metadata


def read_md5(request: Request, name: str) -> bytes | None:
    """16 bytes of base64, or None when it is not given."""
    text = request.headers.get(name)
    if not text:
        return None
    try:
        digest = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Invalid("the MD5 is not base64", code="InvalidMd5") from error
    if len(digest) != 16:
        raise Invalid("the MD5 has not 16 bytes", code="InvalidMd5")
    return digest


def blob_headers(blob: Blob, overrides: tuple[tuple[str, str], ...] = ()) -> dict[str, str]:
    """Everything that is known of a blob."""
    headers = {
        "etag": blob.etag,
        "last-modified": http_date(blob.created),
        "accept-ranges": "bytes",
        "x-ms-creation-time": http_date(blob.created),
        "x-ms-blob-type": "BlockBlob",
        "x-ms-lease-status": "unlocked",
        "x-ms-lease-state": "available",
        "x-ms-server-encrypted": "false",
        "x-strongroom-blake3": blob.blake3.hex(),
        "content-type": blob.content_type,
        **blob.facts.headers,
        **{_META + name: value for name, value in blob.facts.metadata.items()},
    }
    if blob.md5 is not None:
        headers["content-md5"] = base64.b64encode(blob.md5).decode()
    for name, value in overrides:
        headers[_OVERRIDES[name]] = _visible(name, value)
    return headers


def lock_headers(lock: Lock) -> dict[str, str]:
    """What keeps a blob; nothing where nothing does."""
    headers = {"x-ms-legal-hold": "true" if lock.holds else "false"}
    if lock.until is not None and lock.state != "Disabled":
        headers |= {UNTIL: http_date(lock.until), MODE: lock.state.lower()}
    return headers


def read_until(request: Request) -> Instant | None:
    """The date of a lock (RFC 1123), or None when none is asked for. Raises Invalid."""
    text = request.headers.get(UNTIL)
    if text is None:
        return None
    try:
        return Instant(parsedate_to_datetime(text).astimezone(UTC))
    except (ValueError, OverflowError) as error:
        raise Invalid(f"{UNTIL} is no date", code="InvalidHeaderValue") from error


def container_headers(container: Container) -> dict[str, str]:
    """Everything that is known of a container."""
    return {
        "etag": container.etag,
        "last-modified": http_date(container.created),
        "x-ms-lease-status": "unlocked",
        "x-ms-lease-state": "available",
        "x-ms-has-immutability-policy": "false",
        "x-ms-has-legal-hold": "false",
        **{_META + name: value for name, value in container.metadata.items()},
    }


def _visible(name: str, value: str) -> str:
    if not _VISIBLE.fullmatch(value):
        raise Invalid(f"the value of {name} is not allowed", code="InvalidHeaderValue")
    return value
