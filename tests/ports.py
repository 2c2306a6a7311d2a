"""Ports for servers of tests: none that the kernel gives to anybody's outgoing connection."""

import os
import random
import socket
from pathlib import Path

_FIRST = 10_000
_LAST = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0]) - 1
_chance = random.Random(os.getpid())  # each process of a test run has numbers of its own


def free_port() -> int:
    """Nobody listens there now, and a server that is started again finds it free."""
    while True:
        port = _chance.randint(_FIRST, _LAST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:  # somebody's
                continue
        return port
