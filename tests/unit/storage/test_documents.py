"""Block lists, markers, batches, ranges: read strictly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from whenever import Instant

from strongroom.model.errors import Invalid, VaultError, every_error
from strongroom.storage.door.answer import error_answer
from strongroom.storage.door.batch import read_parts
from strongroom.storage.door.codes import BY_CLASS, STATUS, code_of
from strongroom.storage.door.conditions import wanted_range
from strongroom.storage.door.documents import marker, read_block_list, read_marker
from strongroom.storage.door.request import Request, read_request


def a_request(**headers: str) -> Request:
    scope = {
        "method": "GET",
        "raw_path": b"/strongroom/cont/x",
        "query_string": b"",
        "headers": [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()],
    }

    async def receive() -> dict[str, object]:
        return {}

    return read_request(scope, receive, request_id="id", account="strongroom")


def test_a_block_list_keeps_its_order() -> None:
    body = (
        b"<?xml version='1.0' encoding='utf-8'?>\n<BlockList><Latest>AA==</Latest>\n"
        b"<Uncommitted>BB==</Uncommitted><Latest>AA==</Latest></BlockList>"
    )
    assert read_block_list(body) == ["AA==", "BB==", "AA=="]
    assert read_block_list(b"<BlockList></BlockList>") == []
    assert read_block_list(b"<BlockList />") == []


@given(
    st.one_of(
        st.binary(max_size=200),
        st.text(st.sampled_from("<>/BlockListate=A "), max_size=80).map(str.encode),
    )
)
def test_any_bytes_are_a_block_list_or_refused(body: bytes) -> None:
    try:
        read_block_list(body)
    except Invalid:
        return


@given(st.text(st.characters(codec="utf-8"), max_size=50))
def test_a_marker_comes_back(name: str) -> None:
    assert read_marker(marker(name)) == name


@given(st.text(max_size=20))
def test_any_text_is_a_marker_or_refused(text: str) -> None:
    try:
        read_marker(text)
    except Invalid:
        return


@given(st.binary(max_size=300))
def test_any_bytes_are_a_batch_or_refused(body: bytes) -> None:
    for data in (body, b"--b\r\n" + body + b"--b--", body + b"--b--"):
        try:
            read_parts(data, "b")
        except Invalid:
            continue


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=2-", (2, 8)),
        ("bytes=2-100", (2, 8)),
        ("bytes=-3", (7, 3)),
        ("bytes=-100", (0, 10)),
    ],
)
def test_ranges(text: str, found: tuple[int, int]) -> None:
    assert wanted_range(a_request(range=text), 10) == found
    assert wanted_range(a_request(range="bytes=9-", x_ms_range=text), 10) == found


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("bytes=10-", "InvalidRange"),
        ("bytes=5-4", "InvalidRange"),
        ("bytes=-0", "InvalidRange"),
        ("bytes=-", "InvalidHeaderValue"),
        ("bytes=0-1,3-4", "InvalidHeaderValue"),
        ("bytes=a-", "InvalidHeaderValue"),
        ("0-1", "InvalidHeaderValue"),
        ("bytes=--1", "InvalidHeaderValue"),
    ],
)
def test_other_ranges_are_refused(text: str, code: str) -> None:
    with pytest.raises(Invalid) as caught:
        wanted_range(a_request(range=text), 10)
    assert caught.value.code == code


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_any_address_is_a_request_or_refused(path: bytes, query: bytes) -> None:
    async def receive() -> dict[str, object]:
        return {}

    for raw in (path, b"/strongroom/" + path, b"/strongroom/cont/" + path):
        scope = {"method": "GET", "raw_path": raw, "query_string": query, "headers": []}
        try:
            request = read_request(scope, receive, request_id="id", account="strongroom")
        except VaultError:
            continue
        assert request.container is None or "/" not in request.container


def test_every_error_has_a_code_and_a_status() -> None:
    now = Instant.parse_iso("2026-01-01T00:00:00Z")
    for cls in every_error().values():
        answer = error_answer(cls("what happened"), "id", now)
        assert answer.status == STATUS[answer.headers["x-ms-error-code"]]
    assert {code_of(cls("x")) for cls in BY_CLASS} <= set(STATUS)
