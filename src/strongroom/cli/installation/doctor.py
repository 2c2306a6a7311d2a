"""What is wrong with this installation, and the next step for each thing."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from strongroom.cli.basis import connection, console
from strongroom.cli.basis import vault as vaults
from strongroom.cli.basis.means import COMMON, Common, Given, Means
from strongroom.cli.basis.rest import moment, short_time
from strongroom.cli.basis.running import Place, lives
from strongroom.cli.basis.vault import Vault
from strongroom.cli.installation import streams
from strongroom.cli.installation.bucket import wrong_with_bucket
from strongroom.cli.points import proofs
from strongroom.cli.points.points import brief
from strongroom.cli.protection.preflight import best_of
from strongroom.cli.resources import safekeeping
from strongroom.cli.resources.keys import KEY
from strongroom.model.errors import Failed, VaultError, from_dict
from strongroom.model.resources.second_copy import trouble_of
from strongroom.model.work.job import JobStatus
from strongroom.model.work.logical import LOGICAL

LOW_SHARE = 0.1  # of the storage's disk
STALE_HOURS = 36  # a nightly policy that has missed a night
SILENT_SECONDS = 180
PRIVATE = ("connection.json", "recovery.key", "store/account.key", "agent/servers.json")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong; `fix` is the next step."""

    fact: str
    fix: str


def doctor(*, common: Common = COMMON, means: Given) -> None:
    """Say what is wrong with this installation, with the next step for each thing.

    The exit code is 1 when anything is wrong.

    ```
    strongroom doctor
    ```
    """
    place = Place(connection.data_directory(common))
    found = [*_processes(place), *_files(place), *_space(place)]
    try:
        with vaults.opened(common, means) as vault:
            found += [*_servers(vault, means), *_protection(vault, means), *_second(vault)]
            found += _safekeeping(place, vault, means)
    except VaultError as error:
        found.append(Finding(error.message, error.hint))
    if common.output == "json":
        console.as_json([{"fact": each.fact, "fix": each.fix} for each in found])
    for each in found if common.output == "table" else ():
        console.say(f"- {each.fact}")
        console.say(f"  fix: {each.fix}")
    if found:
        count = "one thing is" if len(found) == 1 else f"{len(found)} things are"
        raise Failed(f"{count} wrong", hint="Begin with the first; look again afterwards.")
    if common.output == "table":
        console.say("nothing is wrong")


def _processes(place: Place) -> Iterator[Finding]:
    if place.holder() is None:
        yield Finding(f"strongroom does not run in {place.data}", "strongroom up --detach")
        return
    alive = {name for name, child in place.read().children.items() if lives(child)}
    for name in ("store", "serve", "agent"):
        if name not in alive:
            yield Finding(f"the {name} process is down", f"see {place.logs}/{name}.log")


def _files(place: Place) -> Iterator[Finding]:
    for name in PRIVATE:
        path = place.data / name
        if path.exists() and path.stat().st_mode & 0o077:
            yield Finding(f"{path} can be read by others", f"chmod 600 {path}")


def _safekeeping(place: Place, vault: Vault, means: Means) -> Iterator[Finding]:
    for fact, fix in safekeeping.audit_troubles(vault, means):
        yield Finding(fact, fix)
    for fact, fix in safekeeping.kit_troubles(place, vault, means):
        yield Finding(fact, fix)


def _space(place: Place) -> Iterator[Finding]:
    directory: Path = place.data / "store"
    if not directory.exists():
        return
    usage = shutil.disk_usage(directory)
    if usage.free < usage.total * LOW_SHARE:
        yield Finding(
            f"the storage has {console.size(usage.free)} left of {console.size(usage.total)}",
            "give it a larger disk, or shorten the policy for new points",
        )
    yield from (Finding(*each) for each in wrong_with_bucket(directory))


def _second(vault: Vault) -> Iterator[Finding]:
    trouble = trouble_of(vault.second_copy())
    if trouble:
        yield Finding(
            f"the second copy is not as it should be: {trouble}",
            "see that its store runs, and its log: pull_failed, pull_differs and mend_failed "
            "name objects",
        )


def _servers(vault: Vault, means: Means) -> Iterator[Finding]:
    for server in vault.servers():
        ours = server["properties"]["strongroom"]
        for told in ours["problems"] if best_of(server) != LOGICAL else ():
            problem = from_dict(told)
            yield Finding(f"{server['name']}: {problem.message}", problem.hint)
        seen = moment(ours["seenAt"])
        if seen is None or (means.clock.now() - seen).total("seconds") > SILENT_SECONDS:
            yield Finding(
                f"the agent of {server['name']} has not called for a while",
                "see that it runs on the database host: strongroom agent run",
            )


def _damaged(name: str, points: list[dict[str, Any]]) -> Iterator[Finding]:
    for point in map(brief, points):
        if point["facts"].get("damaged"):
            yield Finding(
                f"recovery point {point['id']} of {name} is damaged in storage: "
                f"{point['facts']['damaged'][0]}",
                f"take another while the server lives: strongroom backup {name}; then look into "
                "the disk of the storage endpoint",
            )


def _in_storage(name: str, findings: list[dict[str, Any]]) -> Iterator[Finding]:
    for found in findings:
        if found["kind"] == KEY:
            what = f"key {found['name']} of {name}: {found['problem']}"
            yield Finding(what, f"put back what is lost, then: strongroom keys check {name}")
            continue
        yield Finding(
            f"{found['kind']} in the storage of {name}: {found['name']}: {found['problem']}",
            "look into the disk of the storage endpoint and its log of deletions; "
            f"`strongroom points {name}` shows what there is to restore",
        )


def _protection(vault: Vault, means: Means) -> Iterator[Finding]:
    jobs = vault.jobs()
    for instance in vault.instances():
        name, state = instance["name"], instance["properties"]["currentProtectionState"]
        if state != "ProtectionConfigured":
            yield Finding(f"{name} is {state}", f"strongroom server check {name}")
        ours = instance["properties"]["strongroom"]
        if ours["missedWindow"]:
            yield Finding(
                f"{name} missed its window: nothing ran in it; the next one is "
                f"{short_time(ours['nextBackup'])} UTC",
                f"strongroom backup {name} takes one now",
            )
        mine = [j["properties"] for j in jobs if j["properties"]["dataSourceName"] == name]
        backups = [j for j in mine if j["operation"] == "Backup"]
        if backups and backups[0]["status"] == JobStatus.FAILED.value:
            details = backups[0].get("errorDetails") or [{"message": "no reason"}]
            yield Finding(
                f"the last backup of {name} failed: {details[0]['message']}",
                " ".join(details[0].get("recommendedAction") or [f"strongroom backup {name}"]),
            )
        told = [*proofs.troubles(name, ours)]
        told += streams.troubles(name, streams.stream_of(vault, name, ours), means.clock.now())
        yield from (Finding(fact, fix) for fact, fix in told)
        points = vault.points(name)
        yield from _damaged(name, points)
        yield from _in_storage(name, vault.findings(name))
        taken = moment(points[0]["properties"]["recoveryPointTime"]) if points else None
        if taken is None:
            yield Finding(f"{name} has no recovery point", f"strongroom backup {name}")
        elif (means.clock.now() - taken).total("hours") > STALE_HOURS:
            yield Finding(
                f"the last good point of {name} is older than {STALE_HOURS} hours",
                f"strongroom backup {name}; `strongroom jobs` shows why none was taken",
            )
