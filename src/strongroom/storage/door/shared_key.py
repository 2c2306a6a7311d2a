"""Azure's SharedKey and SharedKeyLite: a request signed with the account key.

    Authorization: SharedKey ACCOUNT:base64(HMAC-SHA256(key, string to sign))
    string to sign = verb, twelve standard headers, x-ms-* headers, resource with query
    Lite           = verb, content-md5, content-type, date, x-ms-* headers, resource with comp

Source: Microsoft, "Authorize with Shared Key". Azure sorts the x-ms-* headers by a collation in
which hyphens count last, while some clients sort them by bytes: both are accepted.
"""

from collections.abc import Iterable
from email.utils import parsedate_to_datetime

from whenever import Instant

from strongroom.model.errors import Forbidden, Invalid
from strongroom.model.identities.sas import same_signature, sign
from strongroom.storage.basis.settings import Account
from strongroom.storage.door.grant import Grant
from strongroom.storage.door.request import Request

MAX_SKEW_SECONDS = 15 * 60
_STANDARD = (
    *("content-encoding", "content-language", "content-length", "content-md5", "content-type"),
    *("date", "if-modified-since", "if-match", "if-none-match", "if-unmodified-since", "range"),
)


_READER = Grant("reader-key", frozenset("rl"), reads_all=True)


def check_shared_key(request: Request, account: Account, now: Instant) -> Grant:
    """The account key's grant, or the reader key's, or Forbidden (AuthenticationFailed)."""
    scheme, _, credential = request.headers["authorization"].partition(" ")
    name, _, signature = credential.partition(":")
    if scheme not in ("SharedKey", "SharedKeyLite"):
        raise Invalid("the Authorization scheme is unknown", code="InvalidAuthenticationInfo")
    lite = scheme == "SharedKeyLite"
    # Every spelling is computed and compared, whichever fits: nothing is told by the time taken.
    texts = list(_strings_to_sign(request, account.name, lite=lite))
    fits = [same_signature(sign(account.key, text), signature) for text in texts]
    reads = [same_signature(sign(account.reader_key, text), signature) for text in texts]
    is_reader = bool(account.reader_key) and any(reads)
    if name != account.name or not (any(fits) or is_reader):
        raise _failed("the signature does not fit the request")
    _check_date(request, now)
    return Grant("account-key", None) if any(fits) else _READER


def _strings_to_sign(request: Request, account: str, *, lite: bool) -> Iterable[str]:
    names = [name for name in request.headers if name.startswith("x-ms-")]
    for order in (sorted(names, key=_collation), sorted(names)):
        signed = "".join(f"{name}:{request.headers[name]}\n" for name in order)
        yield f"{_head(request, lite=lite)}\n{signed}{_resource(request, account, lite=lite)}"


def _head(request: Request, *, lite: bool) -> str:
    headers = dict(request.headers)
    if "x-ms-date" in headers and not lite:
        headers["date"] = ""
    if headers.get("content-length") == "0":
        headers["content-length"] = ""
    names = ("content-md5", "content-type", "date") if lite else _STANDARD
    return "\n".join([request.method, *(headers.get(name, "") for name in names)])


def _resource(request: Request, account: str, *, lite: bool) -> str:
    path = f"/{account}{request.raw_path}"
    if lite:
        return f"{path}?comp={request.query['comp']}" if "comp" in request.query else path
    return path + "".join(f"\n{name}:{value}" for name, value in sorted(request.query.items()))


def _collation(name: str) -> tuple[str, list[int]]:
    # `_` sorts before digits there; a hyphen counts only between names that are else the same.
    hyphens = [-place for place, letter in enumerate(name) if letter == "-"]
    return name.replace("-", "").replace("_", "!"), hyphens


def _check_date(request: Request, now: Instant) -> None:
    text = request.headers.get("x-ms-date") or request.headers.get("date", "")
    try:
        sent = parsedate_to_datetime(text)
    except ValueError as error:
        raise _failed("the request has no date that can be read") from error
    if abs(sent.timestamp() - now.timestamp()) > MAX_SKEW_SECONDS:
        raise _failed("the request's date is more than 15 minutes from the store's clock")


def _failed(what: str) -> Forbidden:
    return Forbidden(what, code="AuthenticationFailed")
