"""The tree of errors: every class travels, and every class has a status and an exit code."""

import pytest

from strongroom.cli.basis.exits import exit_code
from strongroom.model.errors import Failed, every_error, from_dict
from strongroom.web.api.errors import status_of


@pytest.mark.parametrize("name", sorted(every_error()))
def test_every_error_travels_and_has_a_status_and_an_exit_code(name: str) -> None:
    cls = every_error()[name]
    error = cls("a fact", hint="a step", facts={"n": 1})
    told = from_dict(error.to_dict())
    assert type(told) is cls
    assert (told.message, told.hint, told.facts) == ("a fact", "a step", {"n": 1})
    assert 400 <= status_of(cls) <= 599
    assert 1 <= exit_code(cls) <= 5


def test_an_unknown_kind_keeps_its_words() -> None:
    told = from_dict({"kind": "FromTheFuture", "message": "a fact"})
    assert isinstance(told, Failed)
    assert told.message == "a fact"
