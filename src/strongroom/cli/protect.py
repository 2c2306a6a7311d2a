"""One command from a connection string to a recovery point."""

from typing import Annotated, Any

from cyclopts import Parameter

from strongroom.cli import connection, conninfo, console, following, points, preflight
from strongroom.cli import vault as vaults
from strongroom.cli.means import COMMON, Common, Given
from strongroom.cli.vault import TEN_YEARS, TEN_YEARS_LOGICAL, Vault
from strongroom.model import arm
from strongroom.model.backup_type import FULL
from strongroom.model.errors import Conflict, Failed
from strongroom.model.job import JobStatus
from strongroom.model.logical import LOGICAL

Source = Annotated[
    str,
    Parameter(
        name="CONNINFO",
        allow_leading_hyphen=True,
        help="postgresql://user@host:port/database or key=value pairs; - reads it from "
        "standard input.",
    ),
]
Named = Annotated[str, Parameter(help="Name of the server in the vault. Default: from its host.")]
Replaced = Annotated[
    bool, Parameter(negative="", help="Take this connection string for a known name.")
]


def protect(  # noqa: PLR0913 - an option each
    source: Source,
    /,
    *,
    name: Named = "",
    policy: Annotated[str, Parameter(help="Default: ten-years, which is made when missing.")] = "",
    logical: Annotated[
        bool, Parameter(negative="", help="Dumps only, always. Policy ten-years-logical.")
    ] = False,
    wait: following.Wait = True,
    replace: Replaced = False,
    common: Common = COMMON,
    means: Given,
) -> None:
    """Protect a PostgreSQL server: check it, register it, and take the first backup.

    Everything that the server lacks is named with its remedy, and then nothing is changed. Policy
    `ten-years`: a backup every night, kept 14 days; the first of each week 8 weeks, of each month
    13 months, of each year 10 years. Safe to run twice. A server that does not allow physical
    backups (it grants no replication, as managed ones do) is backed up by dumps, and told so.

    The connection string stays with the agent on this machine (mode 0600). An argument is visible
    to other users of the machine while the command runs: keep the password in a passfile
    (~/.pgpass, or passfile=FILE in the string), or pipe the string in.

    ```
    strongroom protect postgresql://backup@db1.example.com/postgres
    strongroom protect 'host=/run/postgresql user=postgres' --name orders
    strongroom protect - --name orders < conninfo.txt
    ```
    """
    text = conninfo.read(source)
    server = arm.check_name("server", name or conninfo.name_for(text))
    data = connection.data_directory(common)
    policy = policy or (TEN_YEARS_LOGICAL if logical else TEN_YEARS)
    facts = preflight.examine(text, data, server, LOGICAL if logical else FULL)
    with vaults.opened(common, means) as vault:
        vault.ensure(policy)
        kind = vault.backup_type(policy)
        preflight.refuse(facts, kind)
        preflight.register(vault, text, data, server, replace=replace, kind=kind)
        found = _configure(vault, server, policy)
        job = None if found else start_backup(vault, server)
        if job and wait:
            following.follow(vault, job, f"first backup of {server}")
            found = vault.points(server)
        told = {
            "server": server,
            "policy": policy,
            "version": facts.version_text,
            "sizeBytes": facts.size_bytes,
            "job": job.rpartition("/")[2] if job else None,
            "recoveryPoint": points.brief(found[0]) if found else None,
            "portal": vault.connection.portal,
        }
    if common.output == "json":
        console.as_json(told)
    else:
        _tell(told)


def start_backup(vault: Vault, server: str, *, full: bool = False, logical: bool = False) -> str:
    """Begin a backup on demand, or find the one that runs already: the job's id."""
    instance = vault.need_instance(server)
    options: dict[str, Any] = {"ruleName": vault.backup_rule(instance)}
    if full or logical:
        kind = {"backupType": LOGICAL} if logical else {}
        options["strongroom"] = {"full": full, **kind}
    try:
        told = vault.rest.post(f"{vault.instance(server)}/backup", {"backupRuleOptions": options})
    except Conflict:
        running = running_backup(vault, server)
        if running is None:
            raise
        return running
    return str(told["jobId"])


def running_backup(vault: Vault, server: str) -> str | None:
    """The id of the backup of a server that is under way."""
    for job in vault.jobs():
        told = job["properties"]
        running = told["status"] == JobStatus.IN_PROGRESS.value
        if running and told["operation"] == "Backup" and told["dataSourceName"] == server:
            return str(job["id"])
    return None


def _configure(vault: Vault, server: str, policy: str) -> list[dict[str, Any]]:
    """The points that there are already."""
    vault.grant_roles(server)
    body = vault.protection(server, policy)
    present = vault.rest.find(vault.instance(server))
    if present is not None:
        same = present["properties"]["policyInfo"]["policyId"].lower()
        good = present["properties"]["currentProtectionState"] == "ProtectionConfigured"
        if good and same == vault.policy(policy).lower():
            console.note(f"{server} is protected by policy {policy} already")
            return vault.points(server)
    vault.rest.post(f"{vault.home}/validateForBackup", {"backupInstance": body})
    found = vault.rest.put(vault.instance(server), {"properties": body})
    state = found["properties"]["currentProtectionState"]
    if state != "ProtectionConfigured":
        raise Failed(f"{server} is {state}", hint="`strongroom doctor` says more.")
    console.note(f"protected {server} in vault {vault.connection.vault} by policy {policy}")
    return vault.points(server)


def _tell(told: dict[str, Any]) -> None:
    server, newest = told["server"], told["recoveryPoint"]
    shown = {"policy": told["policy"]}
    if newest:
        stored = console.size(newest["storedBytes"])
        shown["recovery point"] = f"{newest['id']} of {newest['takenAt']} UTC"
        shown["kind"] = newest["kind"]
        shown["size"] = f"{console.size(newest['rawBytes'])}, stored as {stored}"
        shown["kept until"] = f"{newest['expiresAt']} ({newest['tag']})"
    elif told["job"]:
        shown["first backup"] = f"running: strongroom jobs --follow {told['job']}"
    console.say(f"{server} is protected")
    console.facts({**shown, "portal": told["portal"]})
    console.say(f"next: strongroom points {server}")
    console.say(f"      strongroom restore {server} --to-dir /an/empty/directory --start")
