"""What the options of a storage endpoint mean, read before it starts."""

import base64
from pathlib import Path
from urllib.parse import urlsplit

from strongroom.model.errors import Invalid
from strongroom.model.listening import is_loopback
from strongroom.storage.settings import PullSettings


def check_certificate(host: str, certificate: Path | None, key: Path | None) -> None:
    """Raises Invalid for half of one, or none beyond loopback."""
    if (certificate is None) != (key is None):
        raise Invalid("a certificate and its key go together", hint="give both, or neither")
    if certificate is None and not is_loopback(host):
        raise Invalid(
            f"on {host} the store would answer in the clear",
            hint="give it --certificate and --certificate-key: strongroom certificate makes them",
        )


def key_in(path: Path, *, needed: bool) -> bytes:
    """base64; empty where there is none and none is needed."""
    return base64.b64decode(path.read_bytes()) if needed or path.exists() else b""


def pull_of(url: str, key: Path | None, ca: Path | None, keep_days: float) -> PullSettings | None:
    """From where a store is filled; None when it is not. Raises Invalid."""
    if not url and key is None:
        return None
    if not url or key is None:
        raise Invalid("--pull-from and --pull-key go together", hint="give both, or neither")
    place = urlsplit(url)
    if place.scheme != "https" and not (
        place.scheme == "http" and is_loopback(place.hostname or "")
    ):
        raise Invalid(
            f"from {place.scheme}://{place.hostname} the copy would come in the clear",
            hint="name the first endpoint by https, and its authority with --pull-ca",
        )
    return PullSettings(
        url=url,
        key=key_in(key, needed=True),
        ca=None if ca is None else ca.read_bytes(),
        keep_days=keep_days,
    )
