"""Issuers of OpenID Connect that an installation believes, and whom their tokens prove.

Source: OpenID Connect Core 1.0, 2 (`iss`, `sub`, `aud`); Microsoft, "Access token claims
reference" (`oid`, `groups`, `appid`).
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import msgspec

from strongroom.model import arm
from strongroom.model.errors import Unauthenticated

USER, GROUP, SERVICE = "user", "group", "service"
KINDS = (USER, GROUP, SERVICE)
MOST_GROUPS = 1000  # a token with more is refused: half of somebody's rights is nobody's wish
_MOST_TEXT = 512
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{1,49}")
_CLAIM = re.compile(r"[A-Za-z_][A-Za-z0-9_:/.-]{0,127}")


class Issuer(msgspec.Struct, frozen=True, kw_only=True):
    """Whose tokens are believed, and which of their claims says who it is."""

    id: str
    name: str
    url: str
    audiences: tuple[str, ...]
    subject_claim: str = "sub"
    groups_claim: str = "groups"
    ca: str = ""  # PEM of the authority of its certificate; empty: a public one

    def principal_of(self, kind: str, subject: str) -> str:
        """The object id of one of its people, programs or groups.

        It hangs on the id of this trust, not on the address alone: whoever trusts the same
        address anew, with another certificate, gives nobody the roles of before. People and
        programs share their names, groups have their own.
        """
        space = GROUP if kind == GROUP else USER
        told = msgspec.json.encode([self.id, space, subject])
        number = int.from_bytes(hashlib.sha256(told).digest()[:16], "big")
        number = number & ~(0xF << 76 | 0b11 << 62) | 8 << 76 | 0b10 << 62  # RFC 9562, 5.8
        return str(UUID(int=number))

    def subject_of(self, claims: Mapping[str, Any]) -> str:
        """Who the token is about. Raises Unauthenticated when it does not say."""
        found = claims.get(self.subject_claim)
        if not isinstance(found, str) or not 0 < len(found) <= _MOST_TEXT:
            raise _refused(f"the token has no usable claim {self.subject_claim!r}")
        return found

    def groups_of(self, claims: Mapping[str, Any]) -> tuple[str, ...]:
        """The object ids of the groups that the token names."""
        found = claims.get(self.groups_claim, [])
        if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
            raise _refused(f"the claim {self.groups_claim!r} is not a list of names")
        if len(found) > MOST_GROUPS:
            raise _refused(f"the token names more than {MOST_GROUPS} groups")
        return tuple(self.principal_of(GROUP, name) for name in found)

    def accepts(self, audience: object) -> bool:
        """Whether `aud`, a string or a list of them, names us."""
        named = audience if isinstance(audience, list) else [audience]
        wanted = {each.rstrip("/") for each in self.audiences}
        return any(isinstance(each, str) and each.rstrip("/") in wanted for each in named)


def read_issuer(issuer_id: str, name: str, properties: Mapping[str, Any], own_url: str) -> Issuer:
    """What an administrator sent, checked. `own_url` is the audience when none is named."""
    if not _NAME.fullmatch(name):
        raise arm.invalid(f"{name[:60]!r} is no name for an issuer", f"use {_NAME.pattern}")
    audiences = arm.pick(properties, "audiences") or [own_url]
    if not isinstance(audiences, list) or not all(map(_is_text, audiences)):
        raise arm.invalid("audiences is not a list of names", "name what `aud` says")
    return Issuer(
        id=issuer_id,
        name=name,
        url=_url(arm.pick_text(properties, "issuer")),
        audiences=tuple(audiences),
        subject_claim=_claim(arm.pick_text(properties, "subjectClaim") or "sub"),
        groups_claim=_claim(arm.pick_text(properties, "groupsClaim") or "groups"),
        ca=arm.pick_text(properties, "certificateAuthority"),
    )


def read_subject(properties: Mapping[str, Any]) -> tuple[str, str]:
    """(kind, subject) of somebody whom an issuer vouches for."""
    kind = arm.pick_text(properties, "kind").lower() or USER
    if kind not in KINDS:
        raise arm.invalid(f"{kind[:40]!r} is no kind of principal", f"use {', '.join(KINDS)}")
    subject = arm.pick_text(properties, "subject")
    if not _is_text(subject):
        raise arm.invalid("the subject is missing", "send what the issuer calls them")
    return kind, subject


def _is_text(found: object) -> bool:
    return isinstance(found, str) and 0 < len(found) <= _MOST_TEXT and found.isprintable()


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        port_is_good = parts.port is None or parts.port > 0
    except ValueError:
        parts, port_is_good = urlsplit(""), False
    bare = not (parts.query or parts.fragment or parts.username or parts.password)
    if not (_is_text(text) and parts.scheme == "https" and parts.hostname and bare):
        port_is_good = False
    if not port_is_good:
        raise arm.invalid(
            f"{text[:120]!r} is not the address of an issuer", "send https://HOST[/PATH], as `iss`"
        )
    return text


def _claim(text: str) -> str:
    if not _CLAIM.fullmatch(text):
        raise arm.invalid(f"{text[:60]!r} is not the name of a claim", "such as sub or oid")
    return text


def _refused(message: str) -> Unauthenticated:
    return Unauthenticated(
        message, hint="ask the issuer for another token", code="InvalidAuthenticationToken"
    )
