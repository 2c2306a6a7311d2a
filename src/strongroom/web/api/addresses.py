"""Which addresses are ours: what a client may have dialled, and what a token may be meant for."""

import functools
from urllib.parse import urlsplit

from strongroom.model.installation import Installation

_LOOPBACK = ("localhost", "127.0.0.1")
# What Azure's clients ask for unless they are told our own address.
CLOUD_AUDIENCES = ("https://management.azure.com", "https://management.core.windows.net")


@functools.lru_cache(16)
def ours(installation: Installation) -> frozenset[str]:
    """scheme://host:port of every door; a loopback door has two names."""
    found: set[str] = set()
    for url in (installation.public_url, installation.portal_url, *installation.other_urls):
        parts = urlsplit(url)
        hosts = _LOOPBACK if parts.hostname in _LOOPBACK else (parts.hostname or "",)
        port = f":{parts.port}" if parts.port else ""
        found |= {url, *(f"{parts.scheme}://{host}{port}" for host in hosts)}
    return frozenset(found)


def audiences(installation: Installation) -> frozenset[str]:
    """What `aud` may say in a token for this API; compared without a last slash."""
    return ours(installation) | frozenset(CLOUD_AUDIENCES)
