"""Connection strings are read at the door, and no secret comes out of it again."""

import traceback

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from strongroom.model.errors import Invalid
from strongroom.postgres.server.connect import Conninfo

SECRET = "hunter2-canary"


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql://keeper:{SECRET}@db.example:5433/shop?sslmode=require",
        f"postgres://keeper:{SECRET}@db.example:5433/shop?sslmode=require",
        f"host=db.example port=5433 user=keeper dbname=shop sslmode=require password={SECRET}",
        f"  host = db.example port=5433 user='keeper' dbname=shop sslmode=require "
        f"password='{SECRET}'  ",
    ],
)
def test_both_forms_are_read(text):
    conninfo = Conninfo.parse(text)
    assert conninfo.get("host") == "db.example"
    assert conninfo.get("password") == SECRET
    assert conninfo.endpoint == "db.example:5433"
    assert Conninfo.parse(conninfo.text()) == conninfo


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "nonsense",
        "host=x host",
        f"host=x password={SECRET} {SECRET}",
        f"host=x passwd={SECRET}",
        f"postgresql://keeper:{SECRET}@host:port with spaces/%zz",
        f"postgresql://u:{SECRET}@h/db?nosuchparameter=1",
        f"user=x password='{SECRET}",
        "host=a\0b",
        "host=x replication=true",
        "host=x options='-c statement_timeout=1'",
    ],
)
def test_nonsense_is_refused_with_a_hint_and_without_the_secret(text):
    with pytest.raises(Invalid) as caught:
        Conninfo.parse(text)
    assert caught.value.hint
    told = "".join(traceback.format_exception(caught.value)) + str(caught.value.to_dict())
    lines = [line for line in told.splitlines() if "SECRET" not in line]
    assert SECRET not in "\n".join(lines)


def test_printing_hides_what_is_secret():
    conninfo = Conninfo.parse(f"host=x user=u password={SECRET} sslpassword={SECRET}")
    for text in (repr(conninfo), str(conninfo), f"{conninfo}", conninfo.endpoint):
        assert SECRET not in text
    assert "'host': 'x'" in repr(conninfo)


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("user=u", "the local socket:5432"),
        ("host=/run/pg port=5433", "/run/pg:5433"),
        ("hostaddr=10.0.0.1", "10.0.0.1:5432"),
        ("service=orders", "service orders"),
        ("host=a,b port=1,2", "a,b:1,2"),
    ],
)
def test_the_endpoint_is_for_people(text, endpoint):
    assert Conninfo.parse(text).endpoint == endpoint


def test_parameters_are_replaced_and_left_out():
    conninfo = Conninfo.parse("host=a,b port=1 user=u")
    changed = conninfo.changed(host="b", hostaddr="10.0.0.2", port="")
    assert changed == Conninfo.parse("host=b hostaddr=10.0.0.2 user=u")
    assert conninfo.get("host") == "a,b"


def test_equal_strings_are_equal_and_hash_alike():
    left, right = Conninfo.parse("host=a user=b"), Conninfo.parse("user=b host=a")
    assert left == right
    assert len({left, right}) == 1


@settings(deadline=None, max_examples=500)
@given(
    st.text(max_size=80)
    | st.text(max_size=40).map(lambda text: "postgresql://" + text)
    | st.text(max_size=40).map(lambda text: "host=" + text)
)
@example("host='\ud800'")
@example("postgresql://[::1")
@example("host=x connect_timeout=nonsense")
def test_any_text_is_a_connection_string_or_invalid(text):
    try:
        conninfo = Conninfo.parse(text)
    except Invalid:
        return
    assert Conninfo.parse(conninfo.text()) == conninfo
