"""Where an installation lies, and how to reach it: DIR/connection.json."""

import os
from pathlib import Path

import msgspec

from strongroom.cli.basis.means import Common
from strongroom.model.errors import Invalid, Precondition

FILE = "connection.json"


class Connection(msgspec.Struct, rename="camel", kw_only=True, frozen=True):
    """What `serve` writes for clients, mode 0600; other keys are ignored.

    `ca` is a file (PEM), beside this one where no directory is named; `portal`, `arm` and `blob`
    are URLs.
    """

    portal: str
    arm: str
    ca: str
    tenant: str
    subscription: str
    resource_group: str
    location: str
    client_id: str
    client_secret: str
    blob: str
    blob_account: str
    blob_key: str
    vault: str
    data_directory: str = ""

    def __repr__(self) -> str:
        return f"Connection(arm={self.arm!r}, client_id={self.client_id!r})"


def data_directory(common: Common) -> Path:
    """The directory that --data or STRONGROOM_DATA names, or the default one; absolute."""
    if common.data is not None:
        return Path(os.path.abspath(common.data))  # noqa: PTH100 - symbolic links stay as given
    if os.geteuid() == 0:
        return Path("/var/lib/strongroom")
    return Path.home() / ".local" / "share" / "strongroom"


def find(common: Common) -> Connection | None:
    """The installation to talk to, or None when `serve` has written its file elsewhere."""
    return load(common) if (data_directory(common) / FILE).exists() else None


def load(common: Common) -> Connection:
    """The installation to talk to.

    Raises Precondition when there is none, Invalid when its file is not what we wrote.
    """
    path = data_directory(common) / FILE
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Connection)
        return msgspec.structs.replace(found, ca=str(path.parent / found.ca))
    except FileNotFoundError as error:
        raise Precondition(
            f"there is no installation in {path.parent}",
            hint="Start one with `strongroom up`, or name its directory with --data.",
        ) from error
    except PermissionError as error:
        raise Precondition(
            f"{path} cannot be read by this user",
            hint="Run the command as the user who started `strongroom up`.",
        ) from error
    except msgspec.MsgspecError as error:
        raise Invalid(
            f"{path} is not a connection file: {error}",
            hint="`strongroom down` and `strongroom up` write it again.",
        ) from error


def serve_directory(common: Common) -> Path:
    """Of the control plane on this machine. Raises Precondition where there is none."""
    serve = data_directory(common) / "serve"
    if not serve.is_dir():
        raise Precondition(
            f"there is no control plane in {serve.parent}",
            hint="Run it on the control plane's machine, with its --data.",
        )
    return serve
