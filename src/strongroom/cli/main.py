"""The command line's commands, and the one door through which its failures leave."""

import os
import sys
import traceback
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from strongroom.cli import console
from strongroom.cli.exits import FAILED, INTERRUPTED, OK, USAGE, exit_code
from strongroom.cli.means import MEANS, Means
from strongroom.model.errors import VaultError

# Commands are imported when they are called: `strongroom --help` stays quick.
COMMANDS = {
    "up": "up:up",
    "down": "up:down",
    "status": "status:status",
    "protect": "protect:protect",
    "backup": "backup:backup",
    "points": "points:points",
    "jobs": "backup:jobs",
    "cancel": "cancel:cancel",
    "stop": "protection:stop",
    "suspend": "protection:suspend",
    "resume": "protection:resume",
    "delete": "deletions:delete",
    "undelete": "deletions:undelete",
    "purge": "purges:purge",
    "plan": "plan:plan",
    "timeline": "timeline:timeline",
    "restore": "restore:restore",
    "load": "load:load",
    "verify": "verify:verify",
    "drill": "drill:app",
    "gc": "garbage:gc",
    "doctor": "doctor:doctor",
    "rescue": "offline:rescue",
    "rebuild": "rebuild:rebuild",
    "certificate": "offline:certificate",
}
GROUPS: dict[str, tuple[str, dict[str, str]]] = {
    "server": (
        "PostgreSQL servers that the agent looks after.",
        {
            "add": "server:add",
            "list": "server:list_servers",
            "check": "server:check",
            "show": "server_settings:show",
            "set": "server_settings:set_settings",
            "enrol-token": "offline:enrol_token",
        },
    ),
    "policy": (
        "When backups are taken and how long they are kept.",
        {
            "list": "policy:list_policies",
            "show": "policy:show",
            "preview": "policy:preview",
            "history": "policy:history",
            "apply": "policy:apply",
            "create": "new_policy:create",
        },
    ),
    "expiry": (
        "What holds the expiry of recovery points.",
        {"release": "expiry:release"},
    ),
    "vault": (
        "What the vault promises to keep.",
        {"show": "vault_settings:show", "set": "vault_settings:set_vault"},
    ),
    "hold": (
        "Legal holds: what nothing takes away until they are released.",
        {
            "set": "holds:set_hold",
            "release": "holds:release_hold",
            "list": "holds:list_holds",
        },
    ),
    "guard": (
        "What needs the approval of a second person.",
        {
            "create": "guard:create",
            "list": "guard:list_guards",
            "protect": "guard:protect",
            "release": "guard:release",
        },
    ),
    "approve": (
        "What waits for a second person, and their decision.",
        {
            "list": "approve:list_approvals",
            "grant": "approve:grant",
            "deny": "approve:deny",
            "withdraw": "approve:withdraw",
        },
    ),
    "principal": (
        "Who else signs in.",
        {
            "add": "principal:add",
            "link": "principal:link",
            "list": "principal:list_principals",
            "remove": "principal:remove",
            "renew": "principal:renew",
            "reset-password": "principal:reset_password",
        },
    ),
    "issuer": (
        "Whose tokens are believed beside the installation's own.",
        {"add": "issuer:add", "list": "issuer:list_issuers", "remove": "issuer:remove"},
    ),
    "audit": (
        "Who did what, when, and from where.",
        {"list": "audit:list_records", "verify": "audit:verify", "export": "audit:export"},
    ),
    "evidence": (
        "What is signed, for whoever must not trust us.",
        {"check": "evidence:check", "key": "evidence:key"},
    ),
    "keys": (
        "The keys that seal what is stored, and who keeps them.",
        {
            "list": "keys:list_keys",
            "rotate": "keys:rotate",
            "check": "keys:check",
            "kit": "keys:kit",
            "new-kit": "keys:new_kit",
            "certificates": "keys:certificates",
        },
    ),
    "pgtools": ("PostgreSQL's own programs.", {"install": "offline:install_tools"}),
    "db": ("The catalogue.", {"upgrade": "offline:upgrade"}),
}


def build(app: App) -> App:
    """Register every command of this room; `app.py` adds the processes' own."""
    for name, where in COMMANDS.items():
        app.command(f"strongroom.cli.{where}", name=name)
    for group, (words, commands) in GROUPS.items():
        inner = App(name=group, help=words)
        for name, where in commands.items():
            inner.command(f"strongroom.cli.{where}", name=name)
        app.command(inner)
    return app


def run(app: App, arguments: Sequence[str], means: Means) -> int:
    """Parse, run, and say what went wrong: the exit code."""
    if not arguments or {"--help", "-h"} & set(arguments):
        _load(app)
    try:
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
    if os.environ.get("STRONGROOM_DEBUG"):
        traceback.print_exception(error)
    else:
        console.note("hint: Run it again with STRONGROOM_DEBUG=1 and report what it prints.")
