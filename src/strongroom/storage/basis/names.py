"""Which names containers and blobs may have, and how a blob's name becomes a path.

A blob is a plain file of the same name beneath its container, so that a human can copy it away.
So a name must be a path that means the same everywhere: no empty, `.` or `..` segment, no
backslash, nothing invisible. Everything else that Azure allows is allowed.
"""

import re
import unicodedata
from urllib.parse import unquote_to_bytes

from strongroom.model.errors import Invalid

MAX_NAME = 1024
MAX_NAME_BYTES = 2048
MAX_SEGMENT_BYTES = 255
_CONTAINER = re.compile(r"[a-z0-9](?:-?[a-z0-9])+", flags=re.ASCII)
_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})", flags=re.ASCII)


def checked_container(name: str) -> str:
    """3 to 63 lower-case letters, digits and single hyphens between them, as in Azure."""
    if not 3 <= len(name) <= 63 or not _CONTAINER.fullmatch(name):
        raise Invalid("the container's name is not allowed", code="InvalidResourceName")
    return name


def checked_blob(name: str) -> str:
    """A blob's name, or Invalid."""
    if (
        not 0 < len(name) <= MAX_NAME
        or len(name.encode("utf-8", "surrogatepass")) > MAX_NAME_BYTES
    ):
        raise _refused("is empty or longer than 1024 characters or 2048 bytes")
    for segment in name.split("/"):
        if segment in ("", ".", ".."):
            raise _refused("has an empty, . or .. segment")
        if len(segment.encode("utf-8", "surrogatepass")) > MAX_SEGMENT_BYTES:
            raise _refused("has a segment longer than 255 bytes")
    if "\\" in name or any(_is_invisible(letter) for letter in name):
        raise _refused("has a backslash or an invisible character")
    return name


def decoded(raw: str) -> str:
    """Undo percent-encoding, once. Raises Invalid when what comes out is not UTF-8."""
    if _PERCENT.search(raw):
        raise _refused("is not well percent-encoded")
    try:
        return unquote_to_bytes(raw).decode("utf-8", "strict")
    except UnicodeDecodeError as error:
        raise _refused("is not UTF-8") from error


def ancestors(name: str) -> list[str]:
    """`a/b/c` -> `a`, `a/b`: names that cannot be blobs while this one is."""
    parts = name.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _is_invisible(letter: str) -> bool:
    # Cc control, Cs half a surrogate pair, Cf format (bidi and zero width), Zl/Zp separators; the
    # two non-characters cannot stand in XML, so a listing could not show them.
    return unicodedata.category(letter) in ("Cc", "Cs", "Cf", "Zl", "Zp") or (
        ord(letter) & 0xFFFE == 0xFFFE
    )


def _refused(what: str) -> Invalid:
    return Invalid(f"the blob's name {what}", code="InvalidResourceName")
