"""The rules of a service SAS: what is signed holds, and nothing else parses."""

import base64
from datetime import UTC, datetime
from urllib.parse import parse_qsl

import pytest
from azure.storage.blob import generate_blob_sas, generate_container_sas
from hypothesis import given
from hypothesis import strategies as st
from whenever import Instant

from strongroom.model.errors import Invalid
from strongroom.model.identities.sas import (
    SAS_FIELDS,
    AccessPolicy,
    canonical_resource,
    directory_of,
    is_in_time,
    is_signed_by,
    parse_service_sas,
    parse_time,
    sign_service_sas,
    under_policy,
)

KEY = b"k" * 64
KEY_TEXT = base64.b64encode(KEY).decode()
LATER = Instant.parse_iso("2026-06-01T00:00:00Z")
NAME = st.text("abcdefghijklmnop-0123456789", min_size=1, max_size=20)
PATH = st.lists(NAME, min_size=1, max_size=4).map("/".join)


def a_sas(
    path: str = "g/1", resource: str = "d", permissions: str = "c", **options: object
) -> str:
    given = {"starts": None, "expires": LATER, "protocol": "https", **options}
    return sign_service_sas(
        KEY,
        account="strongroom",
        container="cont",
        path=path,
        resource=resource,
        permissions=permissions,
        **given,
    )


def fields(sas: str) -> dict[str, str]:
    return dict(parse_qsl(sas, keep_blank_values=True))


@given(PATH, st.sampled_from(["b", "d"]), st.sampled_from(["c", "r", "racwdl"]))
def test_what_was_signed_is_good_for_its_resource_and_for_no_other(
    path: str, resource: str, permissions: str
) -> None:
    sas = parse_service_sas(fields(a_sas(path, resource, permissions)))
    assert is_signed_by(sas, KEY, canonical_resource("strongroom", "cont", path))
    assert sas.permissions == frozenset(permissions)
    assert sas.depth == (path.count("/") + 1 if resource == "d" else 0)
    for other in (f"{path}x", f"{path}/x", path[:-1], ""):
        assert not is_signed_by(sas, KEY, canonical_resource("strongroom", "cont", other))
    assert not is_signed_by(sas, KEY, canonical_resource("strongroom", "other", path))
    assert not is_signed_by(sas, KEY, canonical_resource("other", "cont", path))
    assert not is_signed_by(sas, b"z" * 64, canonical_resource("strongroom", "cont", path))


@given(
    st.sampled_from(sorted(SAS_FIELDS - {"sdd"})),
    st.text(st.characters(codec="utf-8"), max_size=30),
)
def test_changing_any_field_breaks_the_signature_or_is_refused(name: str, value: str) -> None:
    before = fields(a_sas(starts=Instant.parse_iso("2026-01-01T00:00:00Z")))
    if (before.get(name) or "") == value:
        return
    try:
        sas = parse_service_sas(before | {name: value})
    except Invalid:
        return
    assert not is_signed_by(sas, KEY, canonical_resource("strongroom", "cont", "g/1"))


@given(
    st.dictionaries(
        st.one_of(st.sampled_from([*sorted(SAS_FIELDS), "ses", "skoid"]), st.text(max_size=5)),
        st.one_of(
            st.text(st.characters(codec="utf-8"), max_size=40),
            st.sampled_from(["c", "d", "b", "2025-01-05", "2026-06-01T00:00:00Z", "2", "https"]),
        ),
        max_size=14,
    )
)
def test_any_query_is_read_or_refused_by_name(query: dict[str, str]) -> None:
    try:
        sas = parse_service_sas(query)
    except Invalid:
        return
    assert not is_signed_by(sas, KEY, canonical_resource("strongroom", "cont", "g/1"))


@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_any_text_is_a_time_or_refused(text: str) -> None:
    try:
        parse_time("se", text)
    except Invalid:
        return
    assert text[:4].isdigit()


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("2026-06-01", "2026-06-01T00:00:00Z"),
        ("2026-06-01T08:30Z", "2026-06-01T08:30:00Z"),
        ("2026-06-01T08:30:15Z", "2026-06-01T08:30:15Z"),
        ("2026-06-01T08:30:15.1234567Z", "2026-06-01T08:30:15Z"),
    ],
)
def test_azures_spellings_of_time(text: str, means: str) -> None:
    assert parse_time("se", text) == Instant.parse_iso(means)


@pytest.mark.parametrize(
    "text",
    [
        "2026-06-31",
        "2026-06-01T08:30:15",
        "2026-06-01T08:30:15+00:00",
        "2026-06-01T24:00Z",
        "0000-01-01",
        "٢٠٢٦-06-01",
        "2026-W01-1",
        "",
    ],
)
def test_other_spellings_of_time_are_refused(text: str) -> None:
    with pytest.raises(Invalid):
        parse_time("se", text)


def test_its_time_begins_with_the_start_and_ends_before_the_expiry() -> None:
    start = LATER.subtract(hours=1)
    sas = parse_service_sas(fields(a_sas(starts=start)))
    moments = [start.subtract(seconds=1), start, LATER.subtract(seconds=1), LATER]
    assert [is_in_time(sas, moment) for moment in moments] == [False, True, True, False]


def test_azures_own_generators_sign_as_we_do() -> None:
    expiry = datetime(2026, 6, 1, tzinfo=UTC)
    options = {"account_key": KEY_TEXT, "expiry": expiry, "protocol": "https", "start": expiry}
    for sas, path in (
        (generate_container_sas("strongroom", "cont", permission="rl", **options), ""),
        (generate_blob_sas("strongroom", "cont", "p/ä x", permission="r", **options), "p/ä x"),
        (
            generate_blob_sas(
                "strongroom", "cont", "g/1", permission="c", is_directory=True, **options
            ),
            "g/1",
        ),
        (
            generate_blob_sas(
                "strongroom", "cont", "x", permission="r", ip="127.0.0.1", content_type="a/b",
                cache_control="no", **options,
            ),
            "x",
        ),
    ):  # fmt: skip
        read = parse_service_sas(fields(sas))
        assert is_signed_by(read, KEY, canonical_resource("strongroom", "cont", path))


def test_a_directory_is_the_first_segments_of_a_name_beneath_it() -> None:
    assert directory_of("g/1/pack", 2) == "g/1"
    assert directory_of("g/1/a/pack", 2) == "g/1"
    assert directory_of("g/1", 2) is None
    assert directory_of("g/1", 0) is None
    assert directory_of("g", -1) is None


@pytest.mark.parametrize(
    "bad",
    [
        {"path": "", "resource": "d"},
        {"path": "x", "resource": "c"},
        {"path": "a\nb", "resource": "b"},
        {"permissions": ""},
        {"permissions": "cc"},
        {"permissions": "q"},
    ],
)
def test_what_no_endpoint_would_take_is_not_signed(bad: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        a_sas(**bad)


def test_neither_the_signature_nor_the_fields_are_shown() -> None:
    sas = parse_service_sas(fields(a_sas()))
    assert sas.signature not in repr(sas)


def test_what_neither_the_token_nor_its_policy_says_is_refused() -> None:
    token = parse_service_sas(fields(a_sas()) | {"si": "job.1"})
    assert under_policy(token, AccessPolicy()).permissions == token.permissions
    bare = parse_service_sas({"si": "job.1", "sv": "2025-01-05", "sr": "c", "sig": "x"})
    later = LATER.add(hours=1)
    whole = under_policy(bare, AccessPolicy(LATER, later, "rc"))
    assert (whole.starts, whole.expires, whole.permissions) == (LATER, later, {"r", "c"})
    for policy in (AccessPolicy(), AccessPolicy(None, later, ""), AccessPolicy(LATER, None, "c")):
        with pytest.raises(Invalid, match="neither"):
            under_policy(bare, policy)
    for policy in (AccessPolicy(None, later, ""), AccessPolicy(None, None, "c")):
        with pytest.raises(Invalid, match="already"):
            under_policy(token, policy)


@pytest.mark.parametrize("missing", ["sp", "se"])
def test_only_a_token_with_an_identifier_may_leave_something_to_its_policy(missing: str) -> None:
    query = fields(a_sas())
    del query[missing]
    with pytest.raises(Invalid):
        parse_service_sas(query)
    assert parse_service_sas(query | {"si": "job.1"}).identifier == "job.1"
    with pytest.raises(Invalid, match="64"):
        parse_service_sas(query | {"si": "x" * 65})
