"""What must be right before it is needed: the audit with its anchors, and the recovery kit."""

import base64
import json
from collections.abc import Iterator
from typing import Any

from blake3 import blake3

from strongroom.cli.basis import console
from strongroom.cli.basis.means import Means
from strongroom.cli.basis.rest import moment, short_time
from strongroom.cli.basis.running import Place, write_private
from strongroom.cli.basis.vault import Vault
from strongroom.model.errors import Forbidden

ANCHOR_SECONDS = 3600  # four of its turns
PATIENCE = 30.0  # seconds for reading the audit
_SHOWN = 3
_KIT = "recovery-kit.json"
_PRINT = "strongroom keys kit puts it on paper, in shares if you wish: --shares 2-of-3"


def audit_troubles(vault: Vault, means: Means) -> Iterator[tuple[str, str]]:
    """(fact, next step) of what is wrong with the audit; nothing for who may not read it."""
    try:
        found = _verdict(vault, means)
    except Forbidden:
        return
    for problem in found["problems"][:_SHOWN]:
        yield (
            f"the audit is not whole: record {problem['sequence']}: {problem['message']}",
            "strongroom audit verify says all of it; keep the storage and the catalogue as they "
            "are, and find out who could write to it",
        )
    if found["next"] is not None:
        console.note(
            f"the audit was read up to record {found['last']} of {found['head']}: "
            "strongroom audit verify reads all of it"
        )
        return
    at = moment(found["anchoredAt"])
    old = at is None or (means.clock.now() - at).total("seconds") > ANCHOR_SECONDS
    if old and found["head"] > found["anchoredTo"]:
        when = f"since {short_time(found['anchoredAt'])} UTC" if at else "at all"
        yield (
            f"the audit has not been anchored in storage {when}",
            "see the log of `serve`: it anchors the audit every quarter of an hour",
        )


def _verdict(vault: Vault, means: Means) -> dict[str, Any]:
    """Stretch by stretch, as long as it may take: the last one, with the problems of all."""
    home = f"/subscriptions/{vault.connection.subscription}"
    place = f"{home}/providers/Microsoft.DataProtection/auditRecords/verify"
    end, after, problems = means.clock.monotonic() + PATIENCE, 0, list[dict[str, Any]]()
    while True:
        path = f"{place}?api-version={vault.rest.version}&$skipToken={after}"
        part = vault.rest.post(path, {})
        problems += part["problems"]
        if part["next"] is None or means.clock.monotonic() > end:
            return {**part, "problems": problems}
        after = part["next"]


def note_kit(place: Place, public: str) -> None:
    """A kit of the recovery key with this public half (base64) has been handed over."""
    told = {"keyId": _key_id(public)}
    write_private(place.data / _KIT, json.dumps(told).encode())


def kit_troubles(place: Place, vault: Vault, means: Means) -> Iterator[tuple[str, str]]:
    """(fact, next step) of what is wrong with the recovery key and its kit."""
    if not place.connection.exists():
        return
    custody = vault.rest.find(f"{vault.home}/keys")
    in_force = custody["custody"]["recoveryKeyId"] if custody else ""
    here = place.recovery_key.exists()
    kit = _kit(place)
    if here and in_force and _key_id(means.public_of([place.recovery_key])) != in_force:
        yield (
            f"{place.recovery_key} is not the recovery key in force: it opens what is older alone",
            "put it where the older kits are, away from this machine",
        )
    elif here and not kit:
        yield "the recovery key was never put on paper: it is lost with this machine", _PRINT
    elif not here and not kit:
        yield (
            f"{place.recovery_key} is not here, and no kit was made of it here",
            "right, if you keep it elsewhere; else make another while this one runs, for no other "
            "key opens the vault after a disaster: strongroom keys new-kit",
        )


def _kit(place: Place) -> str:
    """The id of the key of which a kit was last made here; empty when none was."""
    try:
        return str(json.loads((place.data / _KIT).read_text())["keyId"])
    except (OSError, ValueError, KeyError):
        return ""


def _key_id(public: str) -> str:
    return blake3(base64.b64decode(public)).digest(16).hex()
