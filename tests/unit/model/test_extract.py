"""What is asked of a part of a point, as it is checked at the door."""

import pytest

from strongroom.model.errors import Invalid
from strongroom.model.work.extract import TableName, read_extract, read_table

LONGEST = "ä" * 31 + "x"  # 63 bytes


@pytest.mark.parametrize(
    ("text", "schema", "name"),
    [
        ("entries", "public", "entries"),
        ("sales.items", "sales", "items"),
        ('"my.schema"."a ""b"""', "my.schema", 'a "b"'),
        (f"{LONGEST}.{LONGEST}", LONGEST, LONGEST),
    ],
)
def test_a_table_is_read_as_it_is_quoted(text: str, schema: str, name: str) -> None:
    assert read_table(text) == TableName(schema=schema, name=name)


@pytest.mark.parametrize("text", ["", ".", "a.b.c", '"open', f"{LONGEST}y", f"a.{LONGEST}y"])
def test_what_names_no_table_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="is not the name of a table"):
        read_table(text)


def test_names_are_measured_in_bytes_as_postgresql_does() -> None:
    assert read_extract(LONGEST, "", LONGEST, "").rename == LONGEST
    for database, rename in ((f"{LONGEST}y", ""), ("shop", f"{LONGEST}y")):
        with pytest.raises(Invalid) as told:
            read_extract(database, "", rename, "")
        assert "64 bytes" in told.value.hint
    table = f"{LONGEST}.{LONGEST}"
    assert read_extract("shop", "a.b", table, "").rename == table
