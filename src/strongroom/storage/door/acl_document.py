"""The list of signed identifiers as Azure writes it in XML, read by its grammar and no parser."""

import re
from collections.abc import Sequence
from xml.sax.saxutils import escape, unescape

from whenever import Instant

from strongroom.model.errors import Invalid
from strongroom.model.identities.sas import AccessPolicy, checked_permissions, parse_time
from strongroom.storage.door.answer import xml
from strongroom.storage.ledger.identifiers import Identifier, checked_identifier

_ENTITIES = {"&quot;": '"', "&apos;": "'"}
_BARE_AND = re.compile(r"&(?!(?:amp|lt|gt|quot|apos);)")


def _element(name: str) -> str:
    return rf"(?:<{name}>(?P<{name}>[^<>]{{0,400}})</{name}>|<{name}\s*/>)"


_SAID = r"\s*".join(f"{_element(name)}?" for name in ("Start", "Expiry", "Permission"))
_POLICY = rf"(?:<AccessPolicy>\s*{_SAID}\s*</AccessPolicy>|<AccessPolicy\s*/>)?"
_IDENTIFIER = re.compile(
    rf"\s*<SignedIdentifier>\s*{_element('Id')}\s*{_POLICY}\s*</SignedIdentifier>\s*"
)
_LIST = re.compile(
    r"\s*(?:<\?xml[^<>?]{0,200}\?>)?\s*"
    r"(?:<SignedIdentifiers\s*/>|<SignedIdentifiers>(.*)</SignedIdentifiers>)\s*",
    flags=re.DOTALL,
)


def read_identifiers(body: bytes) -> list[Identifier]:
    """From a body; an empty one is an empty list.

    Raises Invalid (InvalidXmlDocument, InvalidXmlNodeValue). A policy may say its start, its
    expiry and its permissions, in Azure's order.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _bad_document() from error
    if not text.strip():
        return []
    whole = _LIST.fullmatch(text)
    if whole is None:
        raise _bad_document()
    inner, found, at = whole.group(1) or "", [], 0
    while inner[at:].strip():
        match = _IDENTIFIER.match(inner, at)
        if match is None:
            raise _bad_document()
        found.append(_read(match))
        at = match.end()
    return found


def identifiers_document(identifiers: Sequence[Identifier]) -> bytes:
    """As Get Container ACL answers."""
    rows = "".join(
        f"<SignedIdentifier><Id>{escape(each.id)}</Id>{_policy(each.policy)}</SignedIdentifier>"
        for each in identifiers
    )
    return xml(f"<SignedIdentifiers>{rows}</SignedIdentifiers>")


def _read(match: re.Match[str]) -> Identifier:
    try:
        policy = AccessPolicy(
            _time("Start", _text(match, "Start")),
            _time("Expiry", _text(match, "Expiry")),
            _letters(_text(match, "Permission")),
        )
        return Identifier(id=checked_identifier(_text(match, "Id")), policy=policy)
    except Invalid as error:
        raise Invalid(error.message, code="InvalidXmlNodeValue") from error


def _text(match: re.Match[str], name: str) -> str:
    text = match.group(name) or ""
    if _BARE_AND.search(text):
        raise Invalid(f"{name} cannot be read")
    return unescape(text, _ENTITIES)


def _time(name: str, text: str) -> Instant | None:
    return parse_time(name, text) if text else None


def _letters(text: str) -> str:
    if text:
        checked_permissions(text)
    return text


def _policy(policy: AccessPolicy) -> str:
    said = {
        "Start": policy.starts.format_iso() if policy.starts else "",
        "Expiry": policy.expires.format_iso() if policy.expires else "",
        "Permission": policy.permissions,
    }
    rows = "".join(f"<{name}>{text}</{name}>" for name, text in said.items() if text)
    return f"<AccessPolicy>{rows}</AccessPolicy>" if rows else ""


def _bad_document() -> Invalid:
    return Invalid("the list of identifiers cannot be read", code="InvalidXmlDocument")
