"""Restore a recovery point."""

from typing import Any

from strongroom.cli.basis import console, following
from strongroom.cli.basis import vault as vaults
from strongroom.cli.basis.means import COMMON, Common, Given
from strongroom.cli.points.points import PointId, choose
from strongroom.cli.points.second import FromSecond, agree, begin, give, validate
from strongroom.cli.restore.files_option import FILES, Files
from strongroom.cli.restore.moment_option import MOMENT, MomentOptions, with_moment
from strongroom.cli.restore.parts import read_wish
from strongroom.cli.restore.plan_text import ask_plan, show
from strongroom.cli.restore.restore_options import (
    Database,
    Directory,
    InPlace,
    Port,
    Rename,
    Start,
    Table,
    Tablespaces,
    ToServer,
    Yes,
    mapping_of,
    request_of,
)


def restore(  # noqa: PLR0913 - an option each
    name: str,
    /,
    *,
    to_dir: Directory = None,
    point: PointId = "",
    moment: MomentOptions = MOMENT,
    in_place: InPlace = False,
    database: Database = "",
    table: Table = "",
    rename: Rename = "",
    files: Files = FILES,
    to_server: ToServer = "",
    tablespace: Tablespaces = None,
    start: Start = False,
    port: Port = 0,
    from_second: FromSecond = False,
    yes: Yes = False,
    wait: following.Wait = True,
    common: Common = COMMON,
    means: Given,
) -> None:
    """Restore a recovery point as a PostgreSQL data directory, or a part of it as dump files.

    But for --in-place, directory and tablespaces must go to new or empty places.

    ```
    strongroom restore orders --to-dir /srv/restore --start --port 5433
    strongroom restore orders --at 2026-11-26T21:04:05Z --to-dir /srv/restore --start
    strongroom restore orders --point 3f2a --in-place
    strongroom restore orders --point 3f2a --to-dir /srv/restore --tablespace /srv/fast=/srv/new
    strongroom restore orders --to-server orders --database shop --rename shop_then
    strongroom restore orders --to-files https://acct.blob.core.windows.net/out --sas-file out.sas
    strongroom restore orders --from-second --to-dir /srv/restore --start
    ```

    Parameters
    ----------
    name
        The protected server.
    """
    with vaults.opened(common, means) as vault:
        mapping = mapping_of(tablespace)
        wish = read_wish((to_dir, files, to_server), database, table, rename, in_place=in_place)
        wish.check(start=start, mapping=mapping)
        chosen = "" if moment.is_given else choose(vault, name, point, second=from_second)["id"]
        asked = request_of(vault, name, chosen, wish, mapping, start=start, port=port)
        request = with_moment(asked, moment)
        made = ask_plan(vault, name, request)
        lacks = validate(vault, name, request, second=from_second, into=to_server)
        if common.output == "table":
            show(made, common)
        if agree("Restore this?", lacks, yes=yes, nothing="nothing was restored"):
            give(vault, name, request, second=from_second, into=to_server)
        job = begin(vault, name, request, second=from_second)
        if not wait or moment.standby:
            _tell(common, made, job)
            return
        done = following.follow(vault, job, f"restore of {name}")
    _finished(common, made, job, done)


def _finished(common: Common, made: dict[str, Any], job: str, done: dict[str, Any]) -> None:
    details = done["properties"]["extendedInfo"]["additionalDetails"]
    steps = [text for key, text in sorted(details.items()) if key.startswith("Next Step")]
    port = int(details.get("Started On Port", 0))
    warnings = following.warnings_of(done)
    if common.output == "json":
        told = {"job": job, "plan": made, "port": port, "nextSteps": steps, "warnings": warnings}
        console.as_json(told)
        return
    for warning in warnings:
        console.note(f"warning: {warning}")
    running = f"; PostgreSQL runs there on port {port}" if port else ""
    console.say(f"restored {made['server']} into {made['target']}{running}")
    for number, step in enumerate(steps):
        console.say(f"{'next:' if number == 0 else '     '} {step}")


def _tell(common: Common, made: dict[str, Any], job: str) -> None:
    if common.output == "json":
        console.as_json({"job": job, "plan": made})
    else:
        console.say(f"restore started: strongroom jobs --follow {job}")
