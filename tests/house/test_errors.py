"""Every error that we know has a status for the API and a code for the shell."""

import pytest

from strongroom.cli.basis.exits import exit_code
from strongroom.model.errors import every_error
from strongroom.web.api.errors import status_of


@pytest.mark.parametrize("name", sorted(every_error()))
def test_every_error_has_a_status_and_an_exit_code(name):
    cls = every_error()[name]
    assert 400 <= status_of(cls) < 600
    assert 1 <= exit_code(cls) <= 5


def test_the_tree_at_the_head_of_the_file_is_the_tree():
    import strongroom.model.errors as module

    drawn = module.__doc__ or ""
    grouping = {"VaultError", "UserError", "SourceError", "StoreError", "TargetError", "Failed"}
    assert [name for name in every_error() if name not in drawn and name not in grouping] == []


@pytest.mark.parametrize("name", sorted(every_error()))
def test_nobody_is_left_without_a_next_step(name):
    told = every_error()[name]("something is wrong").to_dict()
    assert told["hint"].endswith(".")
    assert every_error()[name]("something is wrong", hint="do this").hint == "do this"
