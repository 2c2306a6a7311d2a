"""The list of signed identifiers: what Azure's clients write is read, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from whenever import Instant

from strongroom.model.errors import Invalid, VaultError
from strongroom.model.identities.sas import AccessPolicy
from strongroom.storage.door.acl_document import identifiers_document, read_identifiers
from strongroom.storage.ledger.identifiers import Identifier

HEAD = b"<?xml version='1.0' encoding='utf-8'?>\n"
START = Instant.parse_iso("2026-01-02T00:00:00Z")
END = Instant.parse_iso("2026-01-03T04:05:06Z")
POLICIES = st.builds(
    AccessPolicy,
    st.sampled_from([None, START]),
    st.sampled_from([None, END]),
    st.sampled_from(["", "r", "racwdl"]),
)
IDS = st.text(
    st.characters(min_codepoint=32, exclude_characters="\x7f", codec="utf-8"),
    min_size=1,
    max_size=64,
)


def entry(inner: str) -> bytes:
    text = f"<SignedIdentifiers><SignedIdentifier>{inner}</SignedIdentifier></SignedIdentifiers>"
    return text.encode()


@given(st.lists(st.builds(Identifier, id=IDS, policy=POLICIES, quota=st.none(), used=st.just(0))))
def test_what_is_shown_is_what_was_set(identifiers: list[Identifier]) -> None:
    assert read_identifiers(identifiers_document(identifiers)) == identifiers


@pytest.mark.parametrize(
    "body",
    [b"", b" \n", HEAD + b"<SignedIdentifiers />", b"<SignedIdentifiers></SignedIdentifiers>"],
)
def test_an_empty_list_is_a_list(body: bytes) -> None:
    assert read_identifiers(body) == []


def test_azures_spellings_are_read() -> None:
    body = HEAD + entry(
        "\n <Id>a &amp; b</Id> <AccessPolicy>\n<Start>2026-01-02</Start>"
        "<Expiry>2026-01-03T04:05:06.0000000Z</Expiry><Permission/></AccessPolicy>\n"
    )
    assert read_identifiers(body) == [Identifier(id="a & b", policy=AccessPolicy(START, END, ""))]
    for policy in ("", "<AccessPolicy/>", "<AccessPolicy><Expiry></Expiry></AccessPolicy>"):
        assert read_identifiers(entry(f"<Id>a</Id>{policy}")) == [Identifier(id="a")]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"\xff\xfe", "InvalidXmlDocument"),
        (b"<Other/>", "InvalidXmlDocument"),
        (b"<SignedIdentifiers>x</SignedIdentifiers>", "InvalidXmlDocument"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><SignedIdentifiers/>', "InvalidXmlDocument"),
        (entry("<AccessPolicy/>"), "InvalidXmlDocument"),
        (entry("<Id>a</Id><Quota>1</Quota>"), "InvalidXmlDocument"),
        (entry("<Id>a</Id><AccessPolicy><Permission>r</Permission><Start/></AccessPolicy>"),
         "InvalidXmlDocument"),
        (entry("<Id></Id>"), "InvalidXmlNodeValue"),
        (entry("<Id>a&b;</Id>"), "InvalidXmlNodeValue"),
        (entry(f"<Id>{'x' * 65}</Id>"), "InvalidXmlNodeValue"),
        (entry("<Id>a\tb</Id>"), "InvalidXmlNodeValue"),
        (entry("<Id>a</Id><AccessPolicy><Permission>rr</Permission></AccessPolicy>"),
         "InvalidXmlNodeValue"),
        (entry("<Id>a</Id><AccessPolicy><Start>soon</Start></AccessPolicy>"),
         "InvalidXmlNodeValue"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(body: bytes, code: str) -> None:
    with pytest.raises(Invalid) as caught:
        read_identifiers(body)
    assert caught.value.code == code


@given(st.binary(max_size=200))
def test_no_body_does_more_than_be_refused(body: bytes) -> None:
    for data in (body, b"<SignedIdentifiers>" + body + b"</SignedIdentifiers>"):
        assert _verdict(data) in {"read", "InvalidXmlDocument", "InvalidXmlNodeValue"}


def _verdict(body: bytes) -> str:
    try:
        read_identifiers(body)
    except VaultError as error:
        return error.code
    return "read"
