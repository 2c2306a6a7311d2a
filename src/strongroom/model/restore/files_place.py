"""Where a restore leaves files when that is no directory: a container by its URL, or a bucket.

    https://ACCOUNT.blob.core.windows.net/CONTAINER?SAS      Azure, or whoever speaks like it
    https://HOST:PORT/ACCOUNT/CONTAINER?SAS                  a storage endpoint of ours
    s3://BUCKET[/PREFIX]                                     the agent has credentials of its own

The signature is split off at once: it is a secret, and travels and lies apart from the rest.
A container of the installation's own storage account needs none where the vault's identity has a
role that writes there, as in Azure.
"""

import re
from ipaddress import ip_address
from urllib.parse import SplitResult, parse_qs, urlsplit

import msgspec
from whenever import Instant

from strongroom.model.errors import Invalid
from strongroom.model.identities.sas import parse_time

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PATH = re.compile(r"[A-Za-z0-9$()+,=:@._~/%-]{0,900}")
_READ = "r"
_CREATE = frozenset("cw")


class Signature(msgspec.Struct, frozen=True):
    """A SAS query string, which nobody prints by mistake."""

    query: str

    def __repr__(self) -> str:
        return "Signature(…)"


class FilesPlace(msgspec.Struct, frozen=True, kw_only=True):
    """A container's URL without its signature, or a bucket and its endpoint if not AWS's."""

    url: str
    endpoint: str = ""


def container_of(url: str, account_url: str) -> str:
    """The name of the container, if the URL is that of one of this account; else empty."""
    before, slash, name = url.rpartition("/")
    return name if slash and account_url and before == account_url.rstrip("/") else ""


def read_place(
    url: str, endpoint: str, now: Instant, *, signed: bool = True
) -> tuple[FilesPlace, Signature | None]:
    """Checked at the door. `signed`: it must be. Raises Invalid, which names no signature."""
    parts = _split(url)
    if parts.scheme == "s3":
        return _bucket(parts, endpoint), None
    if endpoint:
        raise _invalid("an endpoint goes with s3://", "leave it out, or name a bucket")
    _check_safe(parts, "the container")
    path = parts.path.rstrip("/")
    if not path.strip("/") or not _is_plain(path):
        raise _invalid(
            f"{parts.scheme}://{parts.netloc} names no container",
            "write https://ACCOUNT.blob.core.windows.net/CONTAINER?SAS",
        )
    place = FilesPlace(url=f"{parts.scheme}://{parts.netloc}{path}")
    if not parts.query and not signed:
        return place, None
    _check_signature(parts.query, now)
    return place, Signature(parts.query)


def check_ours(place: FilesPlace, signature: Signature | None, account_url: str) -> None:
    """Invalid for a user's delegation at our own account: storage takes no tokens of people."""
    if signature is None or not container_of(place.url, account_url):
        return
    if "skoid" in {name.lower() for name in parse_qs(signature.query)}:
        raise _invalid(
            f"a user-delegation SAS does not open {place.url}, which lies in this installation's "
            "own storage: that knows nobody but whoever holds its account key",
            "for a restore send the URL without any SAS, and give the vault's identity "
            "'Storage Blob Data Contributor' there; else make one with the account's key: az "
            "storage container generate-sas --account-key",
        )


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise _invalid("the target is not a URL", "write https://... or s3://...") from error
    if parts.scheme not in {"https", "http", "s3"}:
        raise _invalid(
            f"the target {parts.scheme[:20]!r} is neither https nor s3",
            "name a container's URL, s3://BUCKET/PREFIX, or a directory",
        )
    if parts.username or parts.password or parts.fragment:
        raise _invalid("a target's URL holds no user and no fragment", "leave them out")
    return parts


def _bucket(parts: SplitResult, endpoint: str) -> FilesPlace:
    path = parts.path.strip("/")
    if not _BUCKET.fullmatch(parts.netloc) or not _is_plain(path) or parts.query:
        raise _invalid(f"s3://{parts.netloc[:63]} is no bucket", "write s3://BUCKET/PREFIX")
    if endpoint:
        told = _split(endpoint)
        if told.scheme == "s3" or told.query:
            raise _invalid("the endpoint is not an https URL", "write https://HOST:PORT")
        _check_safe(told, "the endpoint")
    return FilesPlace(url=f"s3://{parts.netloc}/{path}".rstrip("/"), endpoint=endpoint)


def _is_plain(path: str) -> bool:
    return _PATH.fullmatch(path) is not None and not {".", ".."} & set(path.split("/"))


def _check_safe(parts: SplitResult, what: str) -> None:
    """What lies in a backup goes over https, or stays on this machine."""
    host = parts.hostname or ""
    if not host:
        raise _invalid(f"{what} has no host", "write https://HOST/...")
    if parts.scheme == "http" and not _is_loopback(host):
        raise _invalid(f"{what} is reached without encryption", "use https")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _check_signature(query: str, now: Instant) -> None:
    """What would fail when the dumps are made fails now; a stored policy may say the rest."""
    said = {name.lower(): values[-1] for name, values in parse_qs(query).items()}
    if not said.get("sig"):
        raise _invalid(
            "the container's URL carries no signature (SAS)",
            "make one with read, create and write: az storage container generate-sas",
        )
    letters = said.get("sp", "")
    if letters and (_READ not in letters or not _CREATE & set(letters)):
        raise _invalid(
            f"the signature allows {letters!r}: files are written and read again",
            "make one with read, create and write (sp=rcw)",
        )
    for name in ("se", "ske"):  # of the signature, and of the key that a user was delegated
        if said.get(name) and parse_time(name, said[name]) <= now:
            raise _invalid("the signature has expired", "make a new one")


def _invalid(message: str, hint: str) -> Invalid:
    return Invalid(message, hint=hint, code="BMSUserErrorInvalidInput")
