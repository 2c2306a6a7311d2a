"""One command from a connection string to a recovery point."""

from typing import Annotated, Any

from cyclopts import Parameter

from strongroom.cli.basis import connection, conninfo, console, following
from strongroom.cli.basis import vault as vaults
from strongroom.cli.basis.means import COMMON, Common, Given, Means
from strongroom.cli.points import points
from strongroom.cli.points.start_backup import start_backup
from strongroom.cli.protection import fleet, preflight
from strongroom.cli.protection.fleet_file import read_fleet
from strongroom.cli.protection.protecting import configure
from strongroom.model import arm
from strongroom.model.errors import Invalid
from strongroom.model.protection.backup_type import FULL
from strongroom.model.work.logical import LOGICAL

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


Fleet = Annotated[
    str,
    Parameter(
        name="--from",
        allow_leading_hyphen=True,
        help="A file of many servers, a line each: [NAME=]CONNINFO, or # and a comment; - reads "
        "it from standard input.",
    ),
]


def protect(  # noqa: PLR0913 - an option each
    source: Source = "",
    /,
    *,
    name: Named = "",
    from_: Fleet = "",
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
    strongroom protect --from fleet.txt
    ```

    With --from many are protected in one call. Every line is read before anything is done, and bad
    ones are told by number, never repeated. Servers protected already are passed over (not with
    --replace), so it is safe to run again; one that is not ready stops no other, and is told at
    the end with what it lacks: the command then ends with 1. --policy and the like hold for all.

    ```
    # fleet.txt (mode 0600 when it holds passwords)
    orders=postgresql://backup@db1.example.com/postgres
    billing=host=db2.example.com user=backup dbname=postgres
    postgresql://backup@db3.example.com/postgres
    ```
    """
    wish = fleet.Wish(policy=policy, logical=logical, replace=replace, wait=wait)
    if from_:
        _only_from(source, name)
        fleet.protect_all(read_fleet(from_), wish, common, means)
    else:
        _protect_one(source, name, wish, common, means)


def _protect_one(source: str, name: str, wish: fleet.Wish, common: Common, means: Means) -> None:
    text = conninfo.read(source)
    server = arm.check_name("server", name or conninfo.name_for(text))
    data = connection.data_directory(common)
    policy = wish.policy_name
    facts = preflight.examine(text, data, server, LOGICAL if wish.logical else FULL)
    with vaults.opened(common, means) as vault:
        vault.ensure(policy)
        kind = vault.backup_type(policy)
        preflight.refuse(facts, kind)
        preflight.register(vault, text, data, server, replace=wish.replace, kind=kind)
        found = configure(vault, server, policy)
        job = None if found else start_backup(vault, server)
        if job and wish.wait:
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


def _only_from(source: str, name: str) -> None:
    if source or name:
        raise Invalid(
            "--from names its servers itself",
            hint="Leave out CONNINFO and --name: a line of the file is NAME=CONNINFO.",
        )


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
    if newest and newest["kind"] == LOGICAL:
        console.say(f"      strongroom load {server} --to-server ANOTHER --with-roles")
        return
    console.say(f"      strongroom restore {server} --to-dir /an/empty/directory --start")
