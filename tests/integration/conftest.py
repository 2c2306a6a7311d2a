"""One plain server a major version, for the whole session."""

import contextlib
from collections.abc import Callable, Iterator

import pytest

from integration.servers import Server, start_server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Callable[[int], Server]]:
    """`postgres_server(15)`: started on first use, stopped at the end; leave it as it was."""
    with contextlib.ExitStack() as stack:
        found: dict[int, Server] = {}

        def server_of(major: int) -> Server:
            if major not in found:
                found[major] = stack.enter_context(start_server(major))
            return found[major]

        yield server_of
