"""Commands of this host before and after a backup (own_settings.py), never the control plane's.

They are run without a shell, with a small environment that says what is backed up:
STRONGROOM_HOOK (pre, post), _SERVER, _INSTANCE, _JOB, _POINT, and after it _OUTCOME (Completed,
CompletedWithWarnings, Failed). What they print goes into the agent's log, and nowhere else.
"""

import contextlib
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Callable, Collection, Mapping
from typing import IO

import structlog

from strongroom.agent.backup.back_up import order_of
from strongroom.agent.held_lease import HeldLease
from strongroom.agent.own_settings import Hooks
from strongroom.model.errors import Precondition, VaultError
from strongroom.model.work.operation import Completion, Progress

MOST_OUTPUT = 4096  # bytes of what a hook prints: the last ones
_KEPT = ("PATH", "HOME", "USER", "LOGNAME", "TZ", "LANG", "LC_ALL")
_TOLD = re.compile(r"(?i)(password|passwd|secret|token|apikey|api_key)(\s*[=:]\s*)\S+")
_IN_URL = re.compile(r"(://[^\s:/@]*):[^\s@]+@")


def with_hooks(
    held: HeldLease, hooks: Hooks, secrets: Collection[str], work: Callable[[], Completion]
) -> Completion:
    """The pre hook, the work, the post hook.

    A pre hook that fails fails the backup before it begins. The post hook is run whenever the pre
    hook was, whatever came of it; when it fails a good backup has a warning. `secrets` are kept
    out of the log. Raises Precondition, and what `work` raises.
    """
    try:
        if hooks.pre:
            held.tell(Progress(step="Running the pre hook"))
            _run("pre", hooks, held, secrets)
        done = work()
    except BaseException:
        _after_failure(hooks, held, secrets)
        raise
    if hooks.post and done.backup is not None:
        outcome = "CompletedWithWarnings" if done.backup.warnings else "Completed"
        held.next_step("Running the post hook")
        try:
            _run("post", hooks, held, secrets, outcome)
        except Precondition as error:
            done.backup.warnings.append(error.to_dict())
    return done


def _after_failure(hooks: Hooks, held: HeldLease, secrets: Collection[str]) -> None:
    """The failure itself is what is told; the hook's is in the log."""
    if not hooks.post:
        return
    try:
        _run("post", hooks, held, secrets, "Failed")
    except VaultError as error:
        structlog.get_logger("strongroom.agent").warning("hook failed", why=error.message)


def _run(
    which: str, hooks: Hooks, held: HeldLease, secrets: Collection[str], outcome: str = ""
) -> None:
    """One hook to its end, and no further: what it has left running is its own business."""
    command = hooks.pre if which == "pre" else hooks.post
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=_environment(which, held, outcome),
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise _failed(which, f"cannot be run: {error.strerror}") from error
        in_time = _wait(process, which, hooks.seconds, held)
        code = process.wait()
        _tell(which, code, held, _end_of(output, secrets))
    if which == "pre":
        held.check()
    if not in_time:
        raise _failed(which, f"took longer than {hooks.seconds:g} seconds")
    if code:
        raise _failed(which, f"was ended by signal {-code}" if code < 0 else f"ended with {code}")


def _wait(process: "subprocess.Popen[bytes]", which: str, seconds: float, held: HeldLease) -> bool:
    """Whether it came to its end in time; it is over then in either case.

    An operation that must stop ends its pre hook. The post hook goes on: it tidies up.
    """

    def end() -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    try:
        with held.when_stopped(end if which == "pre" else lambda: None):
            process.wait(seconds)
    except subprocess.TimeoutExpired:
        end()
        return False
    return True


def _environment(which: str, held: HeldLease, outcome: str) -> Mapping[str, str]:
    order = order_of(held)
    told = {
        "STRONGROOM_HOOK": which,
        "STRONGROOM_SERVER": order.server,
        "STRONGROOM_INSTANCE": order.instance_id,
        "STRONGROOM_JOB": order.job_id,
        "STRONGROOM_POINT": order.recovery_point_id,
    }
    if outcome:
        told["STRONGROOM_OUTCOME"] = outcome
    return {**{name: os.environ[name] for name in _KEPT if name in os.environ}, **told}


def _end_of(output: IO[bytes], secrets: Collection[str]) -> str:
    """The last of what was printed, without what should not be in a log."""
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - MOST_OUTPUT))
    text = output.read().decode(errors="replace")
    for secret in filter(None, secrets):
        text = text.replace(secret, "***")
    return _IN_URL.sub(r"\1:***@", _TOLD.sub(r"\1\2***", text))


def _tell(which: str, code: int, held: HeldLease, text: str) -> None:
    order = order_of(held)
    log = structlog.get_logger("strongroom.agent").bind(job=order.job_id, server=order.server)
    log.info("hook ended", hook=which, code=code, output=text)


def _failed(which: str, how: str) -> Precondition:
    return Precondition(
        f"the {which} hook of the agent's host {how}",
        hint="See what it printed in the agent's log; `strongroom agent settings` shows the hook.",
        code="HookFailed",
    )
