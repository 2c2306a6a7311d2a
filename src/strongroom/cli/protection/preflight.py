"""Before a server is protected: what it lacks, and that the agent on this machine knows it."""

from pathlib import Path
from typing import Any

import msgspec

from strongroom.cli.basis import conninfo, console
from strongroom.cli.basis.vault import Vault
from strongroom.model.errors import Failed, Precondition, from_dict
from strongroom.model.protection.backup_type import (
    DISK,
    DISK_ALONE,
    FULL,
    PHYSICAL,
    STREAM,
    allows,
    why_logical,
)
from strongroom.model.work.logical import LOGICAL
from strongroom.model.work.operation import ServerFacts

REPORT_SECONDS = 60.0


def examine(text: str, data: Path, server: str, kind: str = FULL) -> ServerFacts:
    """The server's facts, as this machine sees them. Precondition as `refuse` raises it."""
    facts = look(text, data, server)
    refuse(facts, kind)
    tell(facts, kind)
    return facts


def look(text: str, data: Path, server: str) -> ServerFacts:
    """What this machine sees of a server; says nothing, and may run beside itself."""
    return msgspec.convert(conninfo.facts_of(text, data, server), ServerFacts)


def tell(facts: ServerFacts, kind: str) -> None:
    """Of a server that is not refused: what it is, and whether dumps alone are had of it."""
    server = facts.name
    if why_logical(facts.problems) and kind == FULL:
        tell_problems(facts)
        console.note(
            f"{server} allows no physical backup: it is backed up by dumps (logical), until that "
            "is mended"
        )
    console.note(
        f"checked {server}: PostgreSQL {facts.version_text or '?'}, "
        f"{len(facts.databases)} databases, {console.size(facts.size_bytes)}"
        + (f"; {way}" if (way := way_in_words(facts)) else "")
    )


def way_in_words(facts: ServerFacts) -> str:
    """How a physical backup is read; empty where none is allowed."""
    return {
        STREAM: "read by replication connections",
        DISK: "files read from the agent's disk, log by a replication connection",
        DISK_ALONE: "files and log read from the agent's disk, no replication needed",
    }.get(facts.way, "")


def refuse(facts: ServerFacts, kind: str) -> None:
    """Print each problem with its remedy, and raise Precondition, when it cannot be backed up so.

    `kind`: model/protection/backup_type.py.
    """
    if allows(facts, kind):
        return
    tell_problems(facts)
    problems = facts.problems
    count = "one thing" if len(problems) == 1 else f"{len(problems)} things"
    ways = {
        PHYSICAL: " Or take dumps where no more is allowed: a policy with backupType Full.",
        FULL: " Or take dumps only: --logical.",
    }
    raise Precondition(
        f"{count} must be added before {facts.name} can be protected; nothing was changed",
        hint="Do what each `fix` says, then run the same command again."
        + (ways.get(kind, "") if facts.dumpable else ""),
    )


def tell_problems(facts: ServerFacts) -> None:
    """Each with its remedy."""
    for problem in map(from_dict, facts.problems):
        console.note(f"missing: {problem.message}")
        console.note(f"    fix: {problem.hint}")


def register(
    vault: Vault, text: str, data: Path, server: str, *, replace: bool, kind: str = FULL
) -> dict[str, Any]:
    """The agent looks after it, the control plane knows it: the server resource with facts."""
    conninfo.give_to_agent(text, data, server, replace=replace)
    wish = {"agentServer": server, "agent": conninfo.local_agent(data)}
    body = {"location": vault.connection.location, "properties": {"strongroom": wish}}
    found = vault.rest.put(vault.server(server), body)
    deadline = vault.clock.monotonic() + REPORT_SECONDS
    while not allows(facts_in(found), kind):
        if vault.clock.monotonic() > deadline:
            raise Failed(
                f"the agent has not reported {server} ready in {REPORT_SECONDS:.0f} seconds",
                hint=f"`strongroom status` shows whether it runs, `strongroom server check "
                f"{server}` what it sees.",
            )
        vault.clock.sleep(0.2)
        found = vault.rest.get(vault.server(server))
    console.note(f"registered {server} with the agent on this machine")
    return found


def facts_in(server: dict[str, Any]) -> ServerFacts:
    """What decides about backups, of a server resource."""
    told = server["properties"]
    return ServerFacts(
        name=server["name"],
        ready=told["state"] == "Ready",
        dumpable=told["strongroom"]["dumpable"],
        way=told["strongroom"]["way"],
        problems=told["strongroom"]["problems"],
    )


def best_of(server: dict[str, Any]) -> str:
    """The best kind of backup that a server resource allows now; empty: none."""
    facts = facts_in(server)
    if facts.ready:
        return PHYSICAL
    return LOGICAL if allows(facts, FULL) else ""
