"""The command line's commands, and the one door through which its failures leave."""

import os
import sys
import traceback
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any

from cyclopts import App, CycloptsError, Group

from strongroom.cli.basis import console
from strongroom.cli.basis.exits import FAILED, INTERRUPTED, OK, USAGE, exit_code
from strongroom.cli.basis.means import MEANS, Means
from strongroom.model.errors import VaultError

# Commands are imported when they are called: `strongroom --help` stays quick.
COMMANDS = {
    "up": "installation.up:up",
    "down": "installation.up:down",
    "status": "installation.status:status",
    "protect": "protection.protect:protect",
    "backup": "points.backup:backup",
    "points": "points.points:points",
    "jobs": "points.backup:jobs",
    "cancel": "points.cancel:cancel",
    "stop": "protection.protection:stop",
    "suspend": "protection.protection:suspend",
    "resume": "protection.protection:resume",
    "delete": "protection.deletions:delete",
    "undelete": "protection.deletions:undelete",
    "purge": "protection.purges:purge",
    "plan": "restore.plan:plan",
    "timeline": "restore.timeline:timeline",
    "restore": "restore.restore:restore",
    "load": "restore.load:load",
    "verify": "points.verify:verify",
    "drill": "points.drill:app",
    "gc": "points.garbage:gc",
    "doctor": "installation.doctor:doctor",
    "rescue": "installation.offline:rescue",
    "rebuild": "installation.rebuild:rebuild",
    "certificate": "installation.offline:certificate",
}
GROUPS: dict[str, tuple[str, dict[str, str]]] = {
    "server": (
        "PostgreSQL servers that the agent looks after.",
        {
            "add": "protection.server:add",
            "list": "protection.server:list_servers",
            "check": "protection.server:check",
            "show": "protection.server_settings:show",
            "set": "protection.server_settings:set_settings",
            "enrol-token": "installation.offline:enrol_token",
        },
    ),
    "policy": (
        "When backups are taken and how long they are kept.",
        {
            "list": "resources.policy:list_policies",
            "show": "resources.policy:show",
            "preview": "resources.policy:preview",
            "history": "resources.policy:history",
            "apply": "resources.policy:apply",
            "create": "resources.new_policy:create",
        },
    ),
    "expiry": (
        "What holds the expiry of recovery points.",
        {"release": "points.expiry:release"},
    ),
    "vault": (
        "What the vault promises to keep.",
        {"show": "resources.vault_settings:show", "set": "resources.vault_settings:set_vault"},
    ),
    "hold": (
        "Legal holds: what nothing takes away until they are released.",
        {
            "set": "points.holds:set_hold",
            "release": "points.holds:release_hold",
            "list": "points.holds:list_holds",
        },
    ),
    "guard": (
        "What needs the approval of a second person.",
        {
            "create": "oversight.guard:create",
            "list": "oversight.guard:list_guards",
            "protect": "oversight.guard:protect",
            "release": "oversight.guard:release",
        },
    ),
    "approve": (
        "What waits for a second person, and their decision.",
        {
            "list": "oversight.approve:list_approvals",
            "grant": "oversight.approve:grant",
            "deny": "oversight.approve:deny",
            "withdraw": "oversight.approve:withdraw",
        },
    ),
    "principal": (
        "Who else signs in.",
        {
            "add": "identities.principal:add",
            "link": "identities.principal:link",
            "list": "identities.principal:list_principals",
            "remove": "identities.principal:remove",
            "renew": "identities.principal:renew",
            "reset-password": "identities.principal:reset_password",
        },
    ),
    "issuer": (
        "Whose tokens are believed beside the installation's own.",
        {
            "add": "identities.issuer:add",
            "list": "identities.issuer:list_issuers",
            "remove": "identities.issuer:remove",
        },
    ),
    "audit": (
        "Who did what, when, and from where.",
        {
            "list": "oversight.audit:list_records",
            "verify": "oversight.audit:verify",
            "export": "oversight.audit:export",
        },
    ),
    "evidence": (
        "What is signed, for whoever must not trust us.",
        {"check": "oversight.evidence:check", "key": "oversight.evidence:key"},
    ),
    "keys": (
        "The keys that seal what is stored, and who keeps them.",
        {
            "list": "resources.keys:list_keys",
            "rotate": "resources.keys:rotate",
            "check": "resources.keys:check",
            "kit": "resources.keys:kit",
            "new-kit": "resources.keys:new_kit",
            "certificates": "resources.keys:certificates",
        },
    ),
    "pgtools": ("PostgreSQL's own programs.", {"install": "installation.offline:install_tools"}),
    "db": ("The catalogue.", {"upgrade": "installation.offline:upgrade"}),
}

# Under which heading `strongroom --help` lists a command, in the order in which people need them.
HEADINGS = {
    "Begin": ("up", "protect", "status", "doctor", "down"),
    "Backups": ("backup", "jobs", "cancel", "points", "verify", "drill"),
    "Restores": ("plan", "restore", "timeline", "load", "rescue"),
    "Servers and policies": ("server", "policy", "stop", "suspend", "resume"),
    "Kept, and ended": ("vault", "hold", "delete", "undelete", "purge", "expiry", "gc"),
    "People, keys and evidence": (
        "principal",
        "issuer",
        "guard",
        "approve",
        "keys",
        "audit",
        "evidence",
    ),
    "Hosts and processes": (
        "agent",
        "store",
        "serve",
        "wal-put",
        "certificate",
        "pgtools",
        "db",
        "rebuild",
        "completion",
    ),
}


@cache
def headings() -> dict[str, dict[str, Any]]:
    """For each command what tells cyclopts where it stands in the help."""
    groups = {heading: Group.create_ordered(heading) for heading in HEADINGS}
    return {
        name: {"group": groups[heading], "sort_key": place}
        for heading, names in HEADINGS.items()
        for place, name in enumerate(names)
    }


def build(app: App) -> App:
    """Register every command of this room; `app.py` adds the processes' own."""
    stands = headings()
    for name, where in COMMANDS.items():
        app.command(f"strongroom.cli.{where}", name=name, **stands[name])
    for group, (words, commands) in GROUPS.items():
        inner = App(name=group, help=words, group_commands=Group("Commands"), **stands[group])
        for name, where in commands.items():
            inner.command(f"strongroom.cli.{where}", name=name)
        app.command(inner)
    return app


def run(app: App, arguments: Sequence[str], means: Means) -> int:
    """Parse, run, and say what went wrong: the exit code."""
    if not arguments or {"--help", "-h"} & set(arguments):
        _load(app)
    try:
        _refuse_empty(arguments)
        command, bound, ignored = app.parse_args(
            list(arguments), exit_on_error=False, print_error=False
        )
        if MEANS in ignored:
            bound.arguments[MEANS] = means
    except CycloptsError as error:
        console.note(f"error: {str(error).strip()}")
        console.note(f"hint: `{_help_of(app, arguments)}` shows how it is used.")
        return USAGE
    try:
        found = command(*bound.args, **bound.kwargs)
    except VaultError as error:
        console.tell_error(error)
        return exit_code(type(error))
    except KeyboardInterrupt:
        console.note("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except Exception as error:  # noqa: BLE001 - a door: everything else is a bug, told as one
        _tell_bug(error)
        return FAILED
    return found if isinstance(found, int) and not isinstance(found, bool) else OK


def _refuse_empty(arguments: Sequence[str]) -> None:
    """`--at "$T"` without a T would restore another moment than was meant."""
    for before, word in pairwise(("", *arguments)):
        option, given, value = word.partition("=")
        if word.startswith("--") and given and not value.strip():
            what = option
        elif not word.strip():
            what = f"what follows {before}" if before.startswith("--") else "an argument"
        else:
            continue
        raise CycloptsError(msg=f"{what} is empty: is a variable of the shell not set?")


def _load(app: App) -> None:
    """Import the commands: what a list of them says of each is its docstring's first line."""
    for name in app:
        if not name.startswith("-"):
            _load(app[name])


def _help_of(app: App, arguments: Sequence[str]) -> str:
    words = []
    for word in arguments:
        if word.startswith("-") or word not in app:
            break
        words.append(word)
        app = app[word]
    return " ".join(("strongroom", *words, "--help"))


def _tell_bug(error: Exception) -> None:
    console.note(f"error: this is a bug in strongroom: {type(error).__name__}: {error}")
    # A service's log is all that there will be: what was rare does not happen again when asked.
    if os.environ.get("STRONGROOM_DEBUG") or not sys.stderr.isatty():
        traceback.print_exception(error)
    else:
        console.note("hint: Run it again with STRONGROOM_DEBUG=1 and report what it prints.")
