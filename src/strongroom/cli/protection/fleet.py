"""Many servers are protected in one call: one that is not ready stops no other."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from strongroom.cli.basis import connection, console, following
from strongroom.cli.basis import vault as vaults
from strongroom.cli.basis.means import Common, Means
from strongroom.cli.basis.vault import TEN_YEARS, TEN_YEARS_LOGICAL, Vault
from strongroom.cli.points.start_backup import start_backup
from strongroom.cli.protection import preflight
from strongroom.cli.protection.fleet_file import Line
from strongroom.cli.protection.protecting import configure
from strongroom.model.errors import (
    ControlUnavailable,
    Failed,
    Precondition,
    Unauthenticated,
    VaultError,
    from_dict,
)
from strongroom.model.protection.backup_type import allows
from strongroom.model.protection.protection_state import ABLE, CONFIGURING, FAILED
from strongroom.model.work.operation import ServerFacts

PROTECTED, ALREADY = "protected", "protected already"
STOPPED = "stopped or suspended, and left so"
NOT, NO_BACKUP = "not protected", "protected, but its first backup failed"
LOOKS = 4  # servers looked at side by side: one that does not answer holds up no other
# No other server would fare better.
_FOR_ALL = (ControlUnavailable, Unauthenticated)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is wanted of a server, or of each; `policy` empty: the one that is made for it."""

    policy: str
    logical: bool
    replace: bool
    wait: bool

    @property
    def policy_name(self) -> str:
        """Never empty."""
        return self.policy or (TEN_YEARS_LOGICAL if self.logical else TEN_YEARS)


@dataclass(slots=True)
class Outcome:
    """What has become of a server; `job`: the id of its first backup, if one began."""

    line: Line
    state: str
    job: str = ""
    why: Sequence[VaultError] = field(default=())

    @property
    def is_bad(self) -> bool:
        """Whether somebody must do something."""
        return self.state in {NOT, NO_BACKUP}


def protect_all(lines: Sequence[Line], wish: Wish, common: Common, means: Means) -> None:
    """Protect each, and tell what has become of it. Raises Failed when one is not."""
    policy = wish.policy_name
    data = connection.data_directory(common)
    with vaults.opened(common, means) as vault:
        vault.ensure(policy)
        known = {} if wish.replace else _known(vault)
        found = [
            Outcome(each, known[key]) for each in lines if (key := each.name.lower()) in known
        ]
        left = [each for each in lines if each.name.lower() not in known]
        if found:
            console.note(f"{len(found)} of {len(lines)} are known already: passed over")
        one = _One(vault, data, policy, vault.backup_type(policy), wish.replace)
        for count, (line, seen) in enumerate(_looked_at(left, data), 1):
            console.note(f"[{count}/{len(left)}] {line.name}")
            found.append(one.protect(line, seen))
        if wish.wait:
            for each in found:
                _follow(vault, each)
    _tell(found, common)


@dataclass(frozen=True, slots=True)
class _One:
    """How each server is protected; `kind`: model/protection/backup_type.py."""

    vault: Vault
    data: Path
    policy: str
    kind: str
    replace: bool

    def protect(self, line: Line, seen: ServerFacts | VaultError) -> Outcome:
        if isinstance(seen, VaultError):
            return _refused(line, [seen])
        if not allows(seen, self.kind):
            problems = [from_dict(each) for each in seen.problems]
            nothing = Precondition(f"it allows no backup of the type {self.kind}")
            return _refused(line, problems or [nothing])
        preflight.tell(seen, self.kind)
        name = line.name
        try:
            preflight.register(
                self.vault, line.text, self.data, name, replace=self.replace, kind=self.kind
            )
            has_points = bool(configure(self.vault, name, self.policy))
            job = "" if has_points else start_backup(self.vault, name)
        except _FOR_ALL:
            raise
        except VaultError as error:
            return _refused(line, [error])
        return Outcome(line, PROTECTED, job)


def _refused(line: Line, why: Sequence[VaultError]) -> Outcome:
    for each in why:
        console.note(f"    not ready: {each.message}")
    return Outcome(line, NOT, why=why)


def _known(vault: Vault) -> dict[str, str]:
    """What is passed over: names in small letters, with the state of each."""
    found = {}
    for each in vault.instances():
        state = each["properties"]["currentProtectionState"]
        if state not in {CONFIGURING, FAILED}:
            found[str(each["name"]).lower()] = ALREADY if state in ABLE else STOPPED
    return found


def _looked_at(
    lines: Sequence[Line], data: Path
) -> Iterator[tuple[Line, ServerFacts | VaultError]]:
    """In their order; the looks run beside what is done with those before."""

    def look(line: Line) -> ServerFacts | VaultError:
        try:
            return preflight.look(line.text, data, line.name)
        except VaultError as error:
            return error

    pool = ThreadPoolExecutor(LOOKS)
    try:
        yield from zip(lines, pool.map(look, lines), strict=True)
    finally:
        pool.shutdown(cancel_futures=True)


def _follow(vault: Vault, outcome: Outcome) -> None:
    if not outcome.job:
        return
    try:
        following.follow(vault, outcome.job, f"first backup of {outcome.line.name}")
    except _FOR_ALL:
        raise
    except VaultError as error:
        outcome.state, outcome.why = NO_BACKUP, [error]


def _tell(found: Sequence[Outcome], common: Common) -> None:
    bad = [each for each in found if each.is_bad]
    if common.output == "json":
        console.as_json([_brief(each) for each in found])
    else:
        _tell_people(found)
    if bad:
        raise Failed(
            f"{len(bad)} of {len(found)} servers are not protected, or have no first backup",
            hint="Do what each `fix` says, and run the same command again: those that are "
            "protected are passed over.",
        )


def _tell_people(found: Sequence[Outcome]) -> None:
    for state in (PROTECTED, ALREADY, STOPPED, NOT, NO_BACKUP):
        count = sum(each.state == state for each in found)
        if count:
            console.say(f"{count} {state}")
    for each in found:
        for why in each.why:
            console.say(f"line {each.line.number}, {each.line.name}: {why.message}")
            console.say(f"    fix: {why.hint}")


def _brief(outcome: Outcome) -> dict[str, Any]:
    return {
        "server": outcome.line.name,
        "line": outcome.line.number,
        "state": outcome.state,
        "job": outcome.job.rpartition("/")[2] or None,
        "why": [{"message": each.message, "hint": each.hint} for each in outcome.why],
    }
