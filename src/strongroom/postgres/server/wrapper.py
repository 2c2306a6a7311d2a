"""Commands that run another command in a way of their own, where this host lets them.

Source: setpriv(1), unshare(1); PR_SET_PDEATHSIG in prctl(2): the kernel looks at the thread that
started a program.
"""

import shutil
import subprocess
from functools import cache

PATH = "/usr/bin:/bin:/usr/sbin:/sbin"
_TRIED_SECONDS = 20


def wrapper(name: str) -> str | None:
    """Where it lies; None where this host has none."""
    return shutil.which(name, path=PATH)


def if_it_works(*words: str) -> tuple[str, ...]:
    """The words, where a command that begins with them runs; else none."""
    try:
        tried = subprocess.run(
            [*words, "true"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={"PATH": PATH},
            timeout=_TRIED_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return words if tried.returncode == 0 else ()


@cache
def ends_with_us() -> tuple[str, ...]:
    """What a command begins with, so that it ends when we are killed; empty: it cannot be done.

    For a program whose thread outlives it. Whoever is killed outright tells nobody, and what reads
    a file, as pg_restore does, asks nobody: it would go on filling a server that nobody watches.
    """
    setpriv = wrapper("setpriv")
    return () if setpriv is None else if_it_works(setpriv, "--pdeathsig", "KILL", "--")


@cache
def becomes(uid: int, gid: int) -> tuple[str, ...]:
    """What a command begins with, so that root runs it as a user; empty: it cannot be done.

    What `subprocess` itself runs as another user comes of a fork, which copies the tables of all
    our memory: 9 ms for an agent at work, where this takes 2.
    """
    setpriv = wrapper("setpriv")
    if setpriv is None:
        return ()
    user = "--reuid", str(uid), "--regid", str(gid), "--clear-groups"
    return if_it_works(setpriv, *user, "--")
