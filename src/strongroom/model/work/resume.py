"""Going on with a backup that broke off, in the agent's protocol.

POST /agents/operations/{id}/resume   ResumeRequest -> ResumeReply
"""

import msgspec


class _Message(msgspec.Struct, rename="camel", omit_defaults=True, kw_only=True):
    """As every message of the agent's protocol."""


class ResumeRequest(_Message):
    """What earlier tries have stored already; `logical`: of dumps. `part`: just the page versions
    in this part, for there may be gigabytes of them.
    """

    epoch: int
    logical: bool = False
    part: int = -1


class StoredPart(_Message):
    """Files, or their beginnings, that a try with this start LSN has stored.

    A page of theirs may stay only if it is below that, as with a parent.
    """

    start_lsn: str
    paths: list[str]


class ResumeReply(_Message):
    """Empty where there is nothing to go on with; nothing in it opens a pack.

    page_versions: of the part that was asked for, path -> the words of the pages that are stored
    (docs/format.md).
    """

    system_identifier: str = ""
    timeline: int = 0
    parts: list[StoredPart] = []
    page_versions: dict[str, bytes] = {}
    chunk_keys: bytes = b""  # of dumps: the sorted digests of the chunks, 16 bytes each
