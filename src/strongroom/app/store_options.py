"""What the options of a storage endpoint mean, read before it starts."""

import base64
import os
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from strongroom.agent.private_file import read_private
from strongroom.model.errors import Invalid
from strongroom.model.listening import is_loopback
from strongroom.storage.basis.settings import BackEndSettings, PullSettings

_SECRETS = ("AZURE_STORAGE_KEY",)  # what no library of a provider looks for by itself


class _BackEnd(msgspec.Struct, forbid_unknown_fields=True, rename="kebab"):
    """The file that names a back end, in TOML."""

    url: str
    endpoint: str = ""
    without_native_locks: bool = False
    adopt: bool = False
    secrets: dict[str, str] = {}


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


def back_end_in(path: Path, *, needed: bool) -> BackEndSettings | None:
    """From a file of TOML that its owner alone may read; None where there is none.

    Secrets that it does not hold are looked for in the environment. Raises Invalid for what cannot
    be read, Precondition for a file that others can read.
    """
    found = read_private(path)
    if found is None:
        if needed:
            raise Invalid(f"there is no file {path}", hint="name the file of the back end")
        return None
    try:
        told = msgspec.toml.decode(found, type=_BackEnd)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Invalid(
            f"{path} cannot be read: {error}",
            hint="it holds url, and may hold endpoint, without-native-locks, adopt and [secrets]",
        ) from error
    near = {name: os.environ[name] for name in _SECRETS if name in os.environ}
    return BackEndSettings(
        url=told.url,
        endpoint=told.endpoint,
        secrets=near | told.secrets,
        without_native_locks=told.without_native_locks,
        adopt=told.adopt,
    )
