"""Run a program where there is no network: in a Linux network namespace of its own.

In it there is one loopback interface, which is down: nothing of this host, or beyond it, can be
reached but by sockets that are files. Root makes one, and lets go of being root behind it; others
make one within a user namespace, where the kernel lets them.
Source: unshare(1), setpriv(1), network_namespaces(7), user_namespaces(7).
"""

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

from strongroom.model.work.drill import HOST_NETWORK, NO_NETWORK

_PATH = "/usr/bin:/bin:/usr/sbin:/sbin"
_TRIED_SECONDS = 20


@cache
def words_before(uid: int, gid: int) -> tuple[str, ...]:
    """What a command begins with, to run as that user without network; empty: it cannot be done.

    Whoever is not root gives their own numbers.
    """
    unshare, setpriv = (shutil.which(name, path=_PATH) for name in ("unshare", "setpriv"))
    if unshare is None:
        return ()
    if os.geteuid() != 0:
        return _if_it_works(unshare, "--user", "--map-current-user", "--net", "--")
    if setpriv is None:
        return ()
    user = "--reuid", str(uid), "--regid", str(gid), "--clear-groups", "--no-new-privs"
    return _if_it_works(unshare, "--net", "--", setpriv, *user, "--")


def _if_it_works(*words: str) -> tuple[str, ...]:
    try:
        tried = subprocess.run(
            [*words, "true"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={"PATH": _PATH},
            timeout=_TRIED_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return words if tried.returncode == 0 else ()


def network_of(pid: int) -> str:
    """What a process can reach: NO_NETWORK when it shares none with us, else HOST_NETWORK."""
    try:
        apart = Path(f"/proc/{pid}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()
    except OSError:
        return HOST_NETWORK
    return NO_NETWORK if apart else HOST_NETWORK
