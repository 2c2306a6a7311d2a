"""Run a program where there is no network: in a Linux network namespace of its own.

In it there is one loopback interface, which is down: nothing of this host, or beyond it, can be
reached but by sockets that are files. Root makes one, and lets go of being root behind it; others
make one within a user namespace, where the kernel lets them.
Source: unshare(1), setpriv(1), network_namespaces(7), user_namespaces(7).
"""

import os
from functools import cache
from pathlib import Path

from strongroom.model.work.drill import HOST_NETWORK, NO_NETWORK
from strongroom.postgres.server.wrapper import if_it_works, wrapper


@cache
def words_before(uid: int, gid: int) -> tuple[str, ...]:
    """What a command begins with, to run as that user without network; empty: it cannot be done.

    Whoever is not root gives their own numbers.
    """
    unshare, setpriv = (wrapper(name) for name in ("unshare", "setpriv"))
    if unshare is None:
        return ()
    if os.geteuid() != 0:
        return if_it_works(unshare, "--user", "--map-current-user", "--net", "--")
    if setpriv is None:
        return ()
    user = "--reuid", str(uid), "--regid", str(gid), "--clear-groups", "--no-new-privs"
    return if_it_works(unshare, "--net", "--", setpriv, *user, "--")


def network_of(pid: int) -> str:
    """What a process can reach: NO_NETWORK when it shares none with us, else HOST_NETWORK."""
    try:
        apart = Path(f"/proc/{pid}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()
    except OSError:
        return HOST_NETWORK
    return NO_NETWORK if apart else HOST_NETWORK
