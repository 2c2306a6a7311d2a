"""Commands that need no running service: rescue, programs of PostgreSQL, the catalogue."""

import shutil
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from cyclopts import Parameter

from strongroom.cli.basis import connection, console
from strongroom.cli.basis.means import COMMON, Common, Given
from strongroom.cli.basis.running import Place, write_private
from strongroom.model.errors import Conflict, Invalid, Precondition
from strongroom.model.listening import LOOPBACK, is_loopback, read_listening


def rescue(
    *,
    storage: Annotated[
        Path, Parameter(help="The storage's directory, or one container in it, or a copy.")
    ],
    key: Annotated[
        list[Path],
        Parameter(help="The recovery key or kit: DIR/recovery.key, or your copy; of shares each."),
    ],
    point: Annotated[str, Parameter(help="The point to restore; without it, list them.")] = "",
    to: Annotated[Path | None, Parameter(help="A new or empty directory.")] = None,
    common: Common = COMMON,
    means: Given,
) -> None:
    """Restore with storage and the recovery key alone: no service, no catalogue, no network.

    A kit that was typed back from paper is as good as the key; of shares name as many as it takes.

    ```
    strongroom rescue --storage /mnt/copy --key recovery.key
    strongroom rescue --storage /mnt/copy --key share-1.txt --key share-3.txt
    strongroom rescue --storage /mnt/copy --key recovery.key --point ID --to /srv/restore
    ```
    """
    for path in (storage, *key):
        if not path.exists():
            raise Precondition(f"{path} is not there", hint="Name what is mounted here.")
    if not point:
        _list(means.list_points(storage, key), common)
        return
    if to is None:
        raise Invalid("--point needs --to", hint="Name a new or empty directory.")
    with console.meter("rescue") as meter:
        written, stored = 0, 0

        def on_progress(raw: int, fetched: int) -> None:
            nonlocal written, stored
            written, stored = written + raw, stored + fetched
            meter.show("writing", written, 0, stored)

        found = means.rescue(storage, key, point, to, on_progress)
    if common.output == "json":
        console.as_json(found)
        return
    console.say(f"rescued {point} into {to}")
    console.facts({name: str(value) for name, value in found.items()})


def _list(found: list[dict[str, Any]], common: Common) -> None:
    if common.output == "json":
        console.as_json(found)
        return
    rows = [
        (
            point["id"],
            str(point.get("server", "")),
            str(point.get("takenAt", "")),
            console.size(int(point.get("sizeBytes", 0))),
            str(point.get("problem") or "good"),
        )
        for point in found
    ]
    columns = ("point", "server", "taken (UTC)", "stored", "receipt")
    console.table(columns, rows, "there is no recovery point")


def install_tools(major: int, /, *, common: Common = COMMON, means: Given) -> None:
    """Fetch PostgreSQL's own programs of a major version, to start what is restored.

    A host that has the distribution's packages needs nothing.

    ```
    strongroom pgtools install 18
    ```

    Parameters
    ----------
    major
        14 to 18.
    """
    console.note(f"fetching the programs of PostgreSQL {major} ...")
    directory = means.install_tools(major)
    if common.output == "json":
        console.as_json({"major": major, "directory": str(directory)})
    else:
        console.say(f"PostgreSQL {major} is in {directory}")


def enrol_token(
    *,
    to: Annotated[Path, Parameter(help="The file to write, mode 0600; it must not exist.")],
    catalogue: Annotated[
        str, Parameter(help="SQLAlchemy URL, when `serve` runs with --catalogue.")
    ] = "",
    common: Common = COMMON,
    means: Given,
) -> None:
    """Make a token with which one more agent enrols, within a day. Run it beside `serve`.

    ```
    strongroom server enrol-token --to db2.token
    ```
    """
    serve = connection.serve_directory(common)
    if to.exists():
        raise Conflict(f"{to} exists", hint="Name a new file.")
    write_private(to, f"{means.new_enrol_token(serve, catalogue)}\n".encode())
    ca = serve / "ca.pem"
    found = connection.find(common)
    control = found.arm if found else "URL"
    if common.output == "json":
        console.as_json({"file": str(to), "control": control, "ca": str(ca)})
        return
    console.say(f"the token is in {to}: carry it to the database host, together with {ca}, then")
    command = f"strongroom agent run --data DIR --control {control} --ca ca.pem --enrol {to.name}"
    console.say(f"next: {command}")
    if is_loopback(urlsplit(control).hostname or ""):
        console.note(
            "it listens on this machine alone: for agents on others, "
            "strongroom up --host 0.0.0.0 --name vault.example.com"
        )


def certificate(
    *,
    names: Annotated[
        list[str], Parameter(name="--name", help="A DNS name or address of the other host.")
    ],
    to: Annotated[Path, Parameter(help="The directory for server.pem, server.key and ca.pem.")],
    common: Common = COMMON,
    means: Given,
) -> None:
    """Make a certificate for a storage endpoint on a host of its own. Run it beside `serve`.

    It is of the same private CA as the control plane's, so agents trust it already. One that is
    there and fits is kept.

    ```
    strongroom certificate --name store.example.com --name 10.0.0.7 --to store-tls
    ```
    """
    serve = connection.serve_directory(common)
    listening = read_listening(LOOPBACK, names)
    to.mkdir(mode=0o700, parents=True, exist_ok=True)
    made, key = means.issue_certificate(serve, listening, to)
    shutil.copyfile(serve / "ca.pem", to / "ca.pem")
    if common.output == "json":
        console.as_json({"certificate": str(made), "key": str(key), "ca": str(to / "ca.pem")})
        return
    console.say(f"made {made} and its key: carry them to {listening.names[0]}, then there")
    command = "strongroom store --data DIR --account-key account.key --host 0.0.0.0 --port 8445"
    console.say(f"next: {command} --certificate {made.name} --certificate-key {key.name}")


def upgrade(*, common: Common = COMMON, means: Given) -> None:
    """Bring the catalogue to this version's form. `strongroom up` does it by itself.

    ```
    strongroom db upgrade
    ```
    """
    place = Place(connection.data_directory(common))
    holder = place.holder()
    if holder is not None:
        raise Precondition(
            f"strongroom runs here (process {holder})", hint="Stop it first: strongroom down"
        )
    done = means.upgrade_catalogue(place.data / "serve")
    if common.output == "json":
        console.as_json(done)
        return
    for line in done or ["the catalogue is up to date"]:
        console.say(line)
