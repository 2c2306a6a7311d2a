"""How the logs of servers come into the vault, in words for people."""

from collections.abc import Iterator
from typing import Any

from whenever import Instant

from strongroom.cli.basis.rest import moment
from strongroom.cli.basis.vault import Vault

BEHIND_SECONDS = 300  # from which on a stream is in trouble: it is told each ten seconds


def stream_of(vault: Vault, name: str, ours: dict[str, Any]) -> dict[str, Any] | None:
    """Of an instance with these `strongroom` properties; None where none is asked for."""
    if not ours["operationalDays"]:
        return None
    found: dict[str, Any] = vault.rest.post(f"{vault.instance(name)}/findSecond", {})
    return {**found["stream"], "gaps": len(found["gaps"])}


def troubles(name: str, stream: dict[str, Any] | None, now: Instant) -> Iterator[tuple[str, str]]:
    """(fact, next step) of what keeps seconds out of the vault. One that begins is no trouble."""
    if stream is None:
        return
    if stream["state"] == "Starting":
        yield from _not_begun(name, stream, now)
        return
    why = f": {stream['why']}" if stream.get("why") else ""
    if stream["state"] != "Streaming":
        yield (
            f"the log of {name} is {stream['state'].lower()}{why}",
            "mend that, and it goes on by itself; "
            f"`strongroom timeline {name}` shows which seconds there are, and every gap",
        )
    elif stream["lagSeconds"] > BEHIND_SECONDS:
        yield (
            f"the log of {name} is {stream['lagSeconds'] / 60:.0f} minutes behind{why}",
            "see that its agent runs and reaches the storage; "
            "`strongroom status` shows whether it catches up",
        )


def _not_begun(name: str, stream: dict[str, Any], now: Instant) -> Iterator[tuple[str, str]]:
    asked = moment(stream.get("askedAt"))
    waits = 0.0 if asked is None else (now - asked).total("seconds")
    if waits > BEHIND_SECONDS:
        yield (
            f"the log of {name} was asked for {waits / 60:.0f} minutes ago, and none has come",
            "see that its agent runs, and what the agent's own log says of the stream; "
            f"`strongroom server check {name}` tells what the server still lacks",
        )
