"""What a program's command begins with, so that it ends when we are killed.

Whoever is killed outright tells nobody. pg_restore reads a file and asks us nothing: it would go
on filling a server for which nobody answers any more.
Source: setpriv(1), PR_SET_PDEATHSIG in prctl(2): the kernel looks at the thread that started it.
"""

import shutil
import subprocess
from functools import cache

_PATH = "/usr/bin:/bin:/usr/sbin:/sbin"
_TRIED_SECONDS = 20


@cache
def ends_with_us() -> tuple[str, ...]:
    """For a program whose thread outlives it; empty where this host cannot do it."""
    setpriv = shutil.which("setpriv", path=_PATH)
    if setpriv is None:
        return ()
    words = setpriv, "--pdeathsig", "KILL", "--"
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
