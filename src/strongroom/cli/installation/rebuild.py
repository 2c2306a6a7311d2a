"""Build a catalogue anew from storage and the recovery kit, or go on with an older copy of it."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from strongroom.cli.basis import connection, console
from strongroom.cli.basis.means import COMMON, Common, Given, Means
from strongroom.cli.basis.running import Child, Place, lives, start_time
from strongroom.cli.installation.supervisor import ACCOUNT, Supervisor, prepare
from strongroom.model.errors import Invalid, Precondition


class _Ready(msgspec.Struct):
    pid: int = 0


def rebuild(  # noqa: PLR0913 - an option each
    *,
    key: Annotated[
        list[Path] | None,
        Parameter(help="The recovery key or kit: DIR/recovery.key, or your copy; of shares each."),
    ] = None,
    serve: Annotated[
        Path | None, Parameter(help="The data directory of a `serve` started by hand.")
    ] = None,
    store_url: Annotated[str, Parameter(help="As `serve` is started with it.")] = "",
    account_key: Annotated[Path | None, Parameter(help="As `serve` is started with it.")] = None,
    store_ca: Annotated[Path | None, Parameter(help="As `serve` is started with it.")] = None,
    catalogue: Annotated[
        str, Parameter(help="SQLAlchemy URL, when `serve` runs with --catalogue.")
    ] = "",
    kek: Annotated[list[str] | None, Parameter(help="As `serve` is started with it.")] = None,
    common: Common = COMMON,
    means: Given,
) -> None:
    """Build the catalogue anew from storage and the recovery kit, while strongroom is at rest.

    For a catalogue that is gone, or was restored from an older copy: then what came since is
    learnt from storage. Nothing in storage is changed, and no number is given twice; the audit
    says for ever which records are lost. Without --key no settings and no keys are.
    Where the directory of `serve` is gone as well, its files come back out of storage.

    ```
    strongroom rebuild --key recovery.key
    strongroom rebuild --key share-1.txt --key share-3.txt
    strongroom rebuild --key recovery.key --serve /var/lib/strongroom/serve \\
        --store-url https://store.example.com:8445/strongroom --account-key account.key
    ```
    """
    for path in key or ():
        if not path.exists():
            raise Precondition(f"{path} is not there", hint="Name what is mounted here.")
    asked: dict[str, Any] = {"keys": key or (), "catalogue": catalogue, "kek": kek or []}
    with ExitStack() as ended:
        if serve is None:
            asked |= ended.enter_context(_of_up(common, means))
        elif not store_url or account_key is None:
            raise Invalid(
                "--serve needs --store-url and --account-key", hint="As `serve` has them."
            )
        else:
            _check_at_rest(serve)
            asked |= {"serve_directory": serve, "store_url": store_url}
            asked |= {"account_key": account_key, "store_ca": store_ca}
        found = means.rebuild(**asked)
    if common.output == "json":
        console.as_json(found)
    else:
        _tell(found)


@contextmanager
def _of_up(common: Common, means: Means) -> Iterator[dict[str, Any]]:
    """Of what `up` runs here: it must be at rest, and its store is started for the while."""
    place = Place(connection.data_directory(common))
    if not (place.data / "store" / ACCOUNT).is_dir():
        raise Precondition(
            f"there is no storage in {place.data / 'store'}",
            hint="Name the directory with --data, or where things lie with --serve.",
        )
    prepare(place, means)
    lock = place.hold()
    if lock is None:
        raise Precondition("strongroom runs here", hint="Stop it first: strongroom down")
    try:
        supervisor = Supervisor(place, means, console.note)
        with supervisor.store_alone() as url:
            yield {
                "serve_directory": place.data / "serve",
                "store_url": url,
                "account_key": place.account_key,
            }
    finally:
        os.close(lock)


def _check_at_rest(serve: Path) -> None:
    ready = serve / "ready.json"
    if not ready.exists():
        return
    pid = msgspec.json.decode(ready.read_bytes(), type=_Ready).pid
    if lives(Child(pid=pid, started=start_time(pid))):
        raise Precondition(f"serve runs there (process {pid})", hint="Stop it first.")


def _tell(found: dict[str, Any]) -> None:
    facts = {
        "instances": str(found["instances"]),
        "recovery points": f"{found['points']} learnt",
        "drills": f"{found['drills']} learnt",
        "log": f"{found['logRanges']} ranges learnt",
        "keys": f"{found['keys']} taken back",
        "settings": _settings(found),
    }
    gap = found["gap"]
    if gap is not None:
        facts["audit"] = (
            f"records {gap['first']} to {gap['last']}, and what came behind without an anchor, "
            f"are lost; it goes on with {gap['sequence']}"
        )
    for name, told in (("files", "files"), ("holds found", "holds")):
        if found[told]:
            facts[name] = ", ".join(found[told])
    console.facts(facts)
    for container in found["unknown"]:
        console.say(f"nobody knows instance {container}, and it has points: see strongroom rescue")
    for problem in found["problems"]:
        console.say(f"not whole: {problem}")
    console.say("next: start strongroom, then `strongroom doctor` and `strongroom audit verify`")


def _settings(found: dict[str, Any]) -> str:
    if found["snapshot"] is None:
        return "as they were in the catalogue"
    changed = ", ".join(f"{count} {name}" for name, count in sorted(found["settings"].items()))
    return f"as of audit record {found['snapshot']}: {changed or 'nothing new'}"
