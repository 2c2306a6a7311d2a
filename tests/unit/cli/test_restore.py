import pytest

from strongroom.cli.restore.restore_options import mapping_of
from strongroom.model.errors import Invalid


def test_tablespaces_are_mapped_old_to_new():
    assert mapping_of(["/a=/b", "/c=/d"]) == {"/a": "/b", "/c": "/d"}


@pytest.mark.parametrize("word", ["/a", "a=/b", "/a=b", "="])
def test_a_half_said_tablespace_is_refused(word):
    with pytest.raises(Invalid):
        mapping_of([word])
