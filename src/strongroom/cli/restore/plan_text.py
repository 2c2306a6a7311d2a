"""A plan, as the API makes it and as people read it."""

from typing import Any

from strongroom.cli.basis import console
from strongroom.cli.basis.means import Common
from strongroom.cli.basis.rest import short_time
from strongroom.cli.basis.vault import Vault

_KINDS = {
    "Server": "a data directory",
    "InPlace": "what it was of the server's own data directory",
    "Part": "a dump of it",
    "Files": "files: a dump of each database, and what they share",
    "Load": "databases of a running server",
}


def ask_plan(vault: Vault, name: str, request: dict[str, Any]) -> dict[str, Any]:
    """model/work/plan.py's RestorePlan of a restore request. Raises what a restore would."""
    body = {"restoreRequestObject": request}
    made: dict[str, Any] = vault.rest.post(f"{vault.instance(name)}/planRestore", body)
    return made


def show(made: dict[str, Any], common: Common) -> None:
    """For people, or as it is for programs."""
    if common.output == "json":
        console.as_json(made)
        return
    number = made["versionNumber"]
    free = made["freeBytes"]
    shown = {
        "point": f"{made['point']} of {made['takenAt']}",
        "version": f"PostgreSQL {number // 10000}.{number % 10000}",
        "databases": ", ".join(sorted(made["databases"])) or "all",
        "takes": made["takes"],
        "makes": _KINDS.get(made["kind"], made["kind"]),
        "reads": f"at most about {console.size(made['readBytes'])} from the vault",
        "writes": f"at most about {console.size(made['writeBytes'])}",
        "replays": f"{console.size(made['walBytes'])} of write-ahead log",
        "time": time_text(made["time"]),
        "free there": console.size(free) if free is not None else "not known",
    }
    if made.get("differingBytes") is not None:
        shown["differs"] = f"about {console.size(made['differingBytes'])} at the newest point"
    if made.get("moment"):
        on = f" on timeline {made['timeline']}"  # said already where it was asked for
        told = made["moment"].removesuffix(on)
        shown["moment"] = f"{told},{on}" if made["timeline"] else told
        shown["reaches"] = made["reached"] + (" (all there is)" if made["capped"] else "")
        shown["log"] = f"{console.size(made['logBytes'])} from the vault"
    if not made["walBytes"]:
        del shown["replays"]
    if made["target"]:
        shown["into"] = made["target"]
    for old, new in made["tablespaces"].items():
        shown[f"tablespace {old}"] = new
    console.say(f"restore of {made['server']}")
    console.facts(shown)
    for check in made["checks"]:
        when = f", {short_time(check['at'])} UTC" if check.get("at") else ""
        console.say(f"  well: {check['message']}{when}")
    for warning in made["warnings"]:
        hint = f" ({warning['hint']})" if warning.get("hint") else ""
        console.say(f"  warning: {warning['message']}{hint}")


def time_text(time: dict[str, Any]) -> str:
    """`about 3 min, at 80.0 MiB/s as in 2 restores before`; unknown where nothing was measured."""
    seconds = time["seconds"]
    if seconds is None and time["measured"] == "tables":
        return "unknown: this agent has not restored a table yet"
    if seconds is None:
        return "unknown: this agent has neither restored nor backed up anything yet"
    if seconds < 90:
        about = f"{max(1, round(seconds))} s"
    elif seconds < 5400:
        about = f"{round(seconds / 60)} min"
    else:
        about = f"{seconds / 3600:.1f} h"
    jobs, what = time["jobs"], time["measured"]
    what = what if jobs != 1 else what.removesuffix("s")
    rate = f"at {console.size(round(time['bytesPerSecond']))}/s " if time["bytesPerSecond"] else ""
    return f"about {about}, {rate}as in {jobs} {what}"
