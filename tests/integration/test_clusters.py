"""A copied cluster is one of its own."""

import pytest

from integration.servers import ALL_MAJORS, start_server

pytestmark = pytest.mark.postgres


@pytest.mark.parametrize("major", ALL_MAJORS)
def test_each_copy_has_an_identifier_of_its_own_and_its_log_bears_it(major):
    identifiers = set()
    for _ in range(2):
        with start_server(major) as server:
            server.stop("immediate")
            server.start()  # reads its log
            ((found,),) = server.sql("select system_identifier from pg_control_system()")
            identifiers.add(found)
    assert len(identifiers) == 2
