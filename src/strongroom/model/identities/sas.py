"""Azure's service SAS as pure rules: what is signed, how it is spelt, what a token says.

The storage endpoint checks with these rules; whoever holds the account key signs with them.
Source: Microsoft, "Create a service SAS", version 2020-12-06 and later (with the signed
encryption scope).

    string to sign = sp, st, se, canonical resource, si, sip, spr, sv, sr, snapshot, ses,
                     rscc, rscd, rsce, rscl, rsct       joined by newlines
    canonical resource = /blob/ACCOUNT/CONTAINER[/PATH]   PATH: a blob, or a directory for sr=d
    sig = base64(HMAC-SHA256(account key, string to sign))

`sdd` (the depth of a directory) is not signed: it says how much of the requested path is the
signed directory, so a changed depth makes another path, and that is signed.

`si` names a stored access policy of the container. The policy says what the token leaves out; when
it is withdrawn the token is worth nothing. Source: Microsoft, "Define a stored access policy".
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal
from urllib.parse import quote

from whenever import Instant

from strongroom.model.errors import Invalid

Resource = Literal["b", "c", "d"]
Protocol = Literal["https", "https,http"]

SIGNED_VERSION = "2025-01-05"
OLDEST_VERSION = "2020-12-06"
LETTERS = "racwdxyltfmeopi"
OVERRIDES = ("rscc", "rscd", "rsce", "rscl", "rsct")
SAS_FIELDS = frozenset(
    ("sp", "st", "se", "si", "sip", "spr", "sv", "sr", "sdd", "sig", *OVERRIDES)
)
MAX_IDENTIFIER = 64  # characters
# What belongs to other kinds of SAS: none of them is honoured here.
_FOREIGN = frozenset(
    (
        *("ses", "ss", "srt", "tn", "spk", "srk", "epk", "erk", "srh", "srq"),
        *("skoid", "sktid", "skt", "ske", "sks", "skv", "skdutid", "sduoid"),
        *("saoid", "suoid", "scid"),
    )
)
_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d)(?::(\d\d)(?:\.\d{1,7})?)?Z)?", flags=re.ASCII
)
_VERSION = re.compile(r"\d{4}-\d\d-\d\d", flags=re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_MAX_VALUE = 2048
_SHARED_KEY_HEADERS = (
    *("content-encoding", "content-language", "content-length", "content-md5", "content-type"),
    *("date", "if-modified-since", "if-match", "if-none-match", "if-unmodified-since", "range"),
)


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """A stored access policy: what it does not say (None, no letters) its tokens must say."""

    starts: Instant | None = None
    expires: Instant | None = None
    permissions: str = ""


@dataclass(frozen=True, slots=True)
class ServiceSas:
    """A token as it was read: nothing is proved until `is_signed_by` says so.

    `starts` is None when the token has no `st`. `depth` counts the segments of a directory (sr=d).
    `identifier` names a stored access policy; only then may permissions and expiry be left out.
    `overrides` are the answer's headers that the signer asked for (`rscc` ... `rsct`).
    """

    permissions: frozenset[str]
    resource: Resource
    starts: Instant | None
    expires: Instant | None
    identifier: str
    protocol: str
    ip: str
    version: str
    depth: int
    signed: Mapping[str, str] = field(repr=False)
    signature: str = field(repr=False)

    @property
    def overrides(self) -> dict[str, str]:
        """`rscc` and its like, those that were given."""
        return {name: self.signed[name] for name in OVERRIDES if self.signed.get(name)}


def carries_sas(names: Iterable[str]) -> bool:
    """Whether a query claims to be signed: it has a `sig`."""
    return "sig" in names


def parse_service_sas(query: Mapping[str, str]) -> ServiceSas:
    """Read a query (names in lower case, values decoded) as a service SAS.

    Raises Invalid, with a fact that names the field and never its signature.
    """
    foreign = sorted(_FOREIGN.intersection(query))
    if foreign:
        raise Invalid(f"the signature field {foreign[0]} is not accepted here")
    signed = {name: value for name, value in query.items() if name in SAS_FIELDS}
    for name, value in signed.items():
        if len(value) > _MAX_VALUE or _CONTROL.search(value):
            raise Invalid(f"the signature field {name} is malformed")
    resource = _resource(signed.get("sr", ""))
    identifier = signed.get("si", "")
    if len(identifier) > MAX_IDENTIFIER:
        raise Invalid(f"the signature field si has more than {MAX_IDENTIFIER} characters")
    version = signed.get("sv", "")
    if not _VERSION.fullmatch(version) or version < OLDEST_VERSION:
        raise Invalid(f"the signed version must be {OLDEST_VERSION} or later")
    return ServiceSas(
        permissions=_letters_of(signed, identifier),
        resource=resource,
        starts=parse_time("st", signed["st"]) if signed.get("st") else None,
        expires=_expiry_of(signed, identifier),
        identifier=identifier,
        protocol=_protocol(signed.get("spr", "")),
        ip=signed.get("sip", ""),
        version=version,
        depth=_depth(resource, signed.get("sdd")),
        signed=signed,
        signature=signed.get("sig", ""),
    )


def canonical_resource(account: str, container: str, path: str = "") -> str:
    """What a token is good for: a container, or a blob or directory in it."""
    return f"/blob/{account}/{container}/{path}" if path else f"/blob/{account}/{container}"


def string_to_sign(signed: Mapping[str, str], resource: str) -> str:
    """The text under the signature; absent fields are empty lines."""
    before = [signed.get(name, "") for name in ("sp", "st", "se")]
    middle = [signed.get(name, "") for name in ("si", "sip", "spr", "sv", "sr")]
    after = [signed.get(name, "") for name in OVERRIDES]
    return "\n".join([*before, resource, *middle, "", "", *after])


def under_policy(sas: ServiceSas, policy: AccessPolicy) -> ServiceSas:
    """The token with what its stored access policy says.

    Raises Invalid when both say the same thing, or when neither says a thing that must be said.
    """
    both = {
        "st": (sas.starts, policy.starts),
        "se": (sas.expires, policy.expires),
        "sp": (sas.permissions, policy.permissions),
    }
    for name, (ours, theirs) in both.items():
        if ours and theirs:
            raise Invalid(
                f"the signature field {name} is said by the stored access policy already"
            )
        if name != "st" and not ours and not theirs:
            raise Invalid(f"neither the signature nor its stored access policy says {name}")
    return replace(
        sas,
        starts=sas.starts or policy.starts,
        expires=sas.expires or policy.expires,
        permissions=sas.permissions or frozenset(policy.permissions),
    )


def sign(account_key: bytes, text: str) -> str:
    """base64(HMAC-SHA256): the form of every signature with an account key."""
    return base64.b64encode(hmac.digest(account_key, text.encode(), hashlib.sha256)).decode()


def shared_key(
    account_key: bytes,
    *,
    account: str,
    method: str,
    path: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
) -> str:
    """The `Authorization` header of a request signed with the account key.

    `path` is the URL's (it begins with the account where that stands in the path), `query` is
    decoded, and among `headers` are all that are sent, `x-ms-date` and `x-ms-version` too.
    Source: Microsoft, "Authorize with Shared Key".
    """
    sent = {name.lower(): value for name, value in headers.items()}
    if sent.get("content-length") == "0":
        del sent["content-length"]
    ours = sorted((name, value) for name, value in sent.items() if name.startswith("x-ms-"))
    lines = [method, *(sent.get(name, "") for name in _SHARED_KEY_HEADERS)]
    lines += [f"{name}:{value}" for name, value in ours]
    lines.append(f"/{account}{path}")
    lines += [f"{name.lower()}:{value}" for name, value in sorted(query.items())]
    return f"SharedKey {account}:{sign(account_key, chr(10).join(lines))}"


def same_signature(left: str, right: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(left.encode(), right.encode())


def is_signed_by(sas: ServiceSas, account_key: bytes, resource: str) -> bool:
    """Whether the token was signed with this key for this resource."""
    return same_signature(sign(account_key, string_to_sign(sas.signed, resource)), sas.signature)


def is_in_time(sas: ServiceSas, now: Instant) -> bool:
    """Whether `now` lies in the token's time; the expiry itself is too late."""
    begun = sas.starts is None or sas.starts <= now
    return begun and sas.expires is not None and now < sas.expires


def directory_of(name: str, depth: int) -> str | None:
    """The first `depth` segments of a blob's name, or None when it does not lie beneath them."""
    segments = name.split("/")
    return "/".join(segments[:depth]) if 0 < depth < len(segments) else None


def sign_service_sas(  # noqa: PLR0913 - each field of the signature, by name
    account_key: bytes,
    *,
    account: str,
    container: str,
    path: str,
    resource: Resource,
    permissions: str,
    starts: Instant | None,
    expires: Instant,
    protocol: Protocol = "https",
    identifier: str = "",
) -> str:
    """A token (without `?`) for a container (`c`, empty path), a directory (`d`) or a blob (`b`).

    `identifier` binds it to a stored access policy. Times are cut to seconds.

    Raises Invalid for what no endpoint would accept.
    """
    path = path.strip("/")
    if (resource == "c") != (path == "") or _CONTROL.search(account + container + path):
        raise Invalid("a container is signed without a path, a directory or blob with one")
    fields = {"st": _spell(starts)} if starts is not None else {}
    fields |= {"se": _spell(expires), "sp": permissions, "spr": protocol}
    fields |= {"sv": SIGNED_VERSION, "sr": resource}
    if identifier:
        fields["si"] = identifier
    if resource == "d":
        fields["sdd"] = str(path.count("/") + 1)
    parse_service_sas(fields)
    text = string_to_sign(fields, canonical_resource(account, container, path))
    fields["sig"] = sign(account_key, text)
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in fields.items())


def parse_time(name: str, text: str) -> Instant:
    """One of the three spellings that Azure takes: a date, to the minute, to the second; UTC."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise Invalid(f"the signature field {name} is not a time such as 2026-01-31T08:00:00Z")
    date, minute, second = match.groups()
    try:
        return Instant.parse_iso(f"{date}T{minute or '00:00'}:{second or '00'}Z")
    except ValueError as error:
        raise Invalid(f"the signature field {name} is not a time that exists") from error


def _spell(moment: Instant) -> str:
    return moment.round("second", mode="floor").format_iso()


def _letters_of(signed: Mapping[str, str], identifier: str) -> frozenset[str]:
    if identifier and not signed.get("sp"):
        return frozenset()
    return checked_permissions(signed.get("sp", ""))


def _expiry_of(signed: Mapping[str, str], identifier: str) -> Instant | None:
    if identifier and not signed.get("se"):
        return None
    return parse_time("se", signed.get("se", ""))


def checked_permissions(text: str) -> frozenset[str]:
    """The letters of `sp`, each known and given once. Raises Invalid."""
    letters = frozenset(text)
    if not text or len(letters) != len(text) or not letters.issubset(LETTERS):
        raise Invalid("the signed permissions are not known letters, each once")
    return letters


def _resource(text: str) -> Resource:
    match text:
        case "b" | "c" | "d":
            return text
        case _:
            raise Invalid("the signed resource must be b, c or d")


def _protocol(text: str) -> str:
    if text not in ("", "https", "https,http"):
        raise Invalid("the signed protocol must be https or https,http")
    return text


def _depth(resource: Resource, text: str | None) -> int:
    if resource != "d":
        return 0
    if text is None or not re.fullmatch(r"[1-9]\d{0,3}", text, flags=re.ASCII):
        raise Invalid("a directory's signature needs its depth, at least 1")
    return int(text)
