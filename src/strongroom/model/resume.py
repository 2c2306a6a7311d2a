"""Going on with a backup that broke off, in the agent's protocol.

POST /agents/operations/{id}/resume   ResumeRequest -> ResumeReply
"""

import msgspec


class _Message(msgspec.Struct, rename="camel", omit_defaults=True, kw_only=True):
    """As every message of the agent's protocol."""


class ResumeRequest(_Message):
    """What earlier tries have stored already; `logical`: of dumps."""

    epoch: int
    logical: bool = False


class StoredFiles(_Message):
    """Files, or their beginnings, that one earlier try has stored.

    page_versions: path -> the words of the pages that are stored (docs/format.md). A page may stay
    only if it is below this try's start LSN, as with a parent.
    """

    start_lsn: str
    page_versions: dict[str, bytes]


class ResumeReply(_Message):
    """Empty where there is nothing to go on with; nothing in it opens a pack."""

    system_identifier: str = ""
    timeline: int = 0
    files: list[StoredFiles] = []
    chunk_keys: bytes = b""  # of dumps: the sorted digests of the chunks, 16 bytes each
