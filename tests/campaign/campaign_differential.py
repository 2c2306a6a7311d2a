"""P5: by page versions an increment is what a full read of the same moment finds."""

from contextlib import ExitStack

import pytest

from changes import CHANGES, fill, restored
from increments import a_chain
from integration.servers import ALL_MAJORS, open_directory, own, start_server
from trees import differences, masked

pytestmark = [pytest.mark.postgres, pytest.mark.P5]


@pytest.mark.parametrize("major", ALL_MAJORS)
def test_ours_is_what_a_full_read_of_the_same_moment_finds(major):
    """By page versions; nobody writes between the two, but readers leave hints."""
    with ExitStack() as stack:
        server = stack.enter_context(start_server(major, autovacuum="off"))
        chain = stack.enter_context(a_chain(server))
        place = stack.enter_context(open_directory())
        space = place / "space"
        space.mkdir()
        fill(server, own(space))
        chain.back_up()
        for number, change in enumerate(CHANGES, 1):
            change(server)
            assert chain.back_up().kind == "Incremental"
            if number % 2:
                continue
            with a_chain(server) as whole:
                assert whole.back_up().kind == "Full"
                found = restored(whole, 0, place / str(number), space)
            ours = restored(chain, number, place, space)
            told = set(differences(ours, found)) - {"backup_label", "global/pg_control"}
            for path in told:
                pages = [masked((tree / path).read_bytes()) for tree in (ours, found)]
                assert pages[0] == pages[1], path
