"""A restore as asked on the wire, read at the door."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from whenever import Instant

from strongroom.model.errors import Invalid
from strongroom.model.points.recovery_point import RecoveryPoint
from strongroom.model.restore.files_place import Signature, check_ours, container_of, read_place
from strongroom.model.restore.target_info import wish_of
from strongroom.model.wal import Recovery
from strongroom.model.wal_moment import Moment, read_moment
from strongroom.model.work.extract import ExtractRequest, read_extract
from strongroom.model.work.logical import LoadRequest, read_load

_POINT = re.compile(r"[0-9a-fA-F]{32}")
# Azure's stores that hold something of ours: every point lies in the vault, and the log that leads
# to a moment is kept as a rule of the OperationalStore.
POINT_STORES = ("VaultStore",)
LOG_STORES = (*POINT_STORES, "OperationalStore")


class RestoreRequest(msgspec.Struct, kw_only=True):
    """Restore as a server: a data directory on the host of the agent that looks after it.

    With `part` dump files are left there instead, or in a container: of a database, of a table, or
    of all. `signature` opens the container; it is no part of what is kept of the request.
    With `in_place` the directory is that of the server itself; empty, it is the one it told of.
    """

    recovery_point_id: str
    target_directory: str
    tablespaces: dict[str, str]  # original location -> new location
    start: bool
    port: int  # 0: as its configuration says
    part: ExtractRequest | None = None
    load: LoadRequest | None = None  # of a logical point, into a running server
    in_place: bool = False
    signature: Signature | None = None
    moment: Moment | None = None  # in place of a recovery point
    recovery: Recovery | None = None  # how the moment is reached, once that is known
    reached: str = ""  # and what is there then, for people
    capped: bool = False  # that is less than was asked for: all there is
    log_bytes: int = 0  # stored bytes of log that are read for it

    def to_order(self, point: RecoveryPoint) -> dict[str, Any]:
        """What the job row keeps."""
        told: dict[str, Any] = msgspec.to_builtins(self)
        del told["signature"]
        told["recovery_point_id"] = point.id
        told["recovery_point_time"] = point.taken_at.format_iso()
        return told


def read_request(
    body: Mapping[str, Any], now: Instant, *, placed: bool = True, own: str = ""
) -> RestoreRequest:
    """ARM's `AzureBackupRecoveryPointBasedRestoreRequest`, or the one that is time-based, with any
    target of model/restore/target_info.py.

    A plan may leave out where to: not `placed`. `own`: the URL of our own storage account, whose
    containers need no signature.

    Our own wishes stand under `restoreTargetInfo.strongroom`, or, from clients that can only say
    what Azure's models hold, as JSON in `restoreTargetInfo.datasourceInfo.resourceUri`
    (`file:///directory?start=true&port=5433`). Source: azure-mgmt-dataprotection 2.2.0 models.
    """
    wish = wish_of(_mapping(body, "restoreTargetInfo"))
    moment = _moment(body, wish, now)
    _check_store(_get(body, "sourceDataStoreType"), LOG_STORES if moment else POINT_STORES)
    directory, part = str(_get(wish, "targetDirectory") or ""), _part(wish)
    load = _load(wish)
    in_place = _in_place(wish)
    signature = _leave_at(part, wish, now, placed=placed, own=own)
    elsewhere = part and (part.target_server or part.target_url)
    into_server = load or (not directory and (in_place or elsewhere))
    if not into_server and not _is_absolute(directory) and (directory or placed):
        raise _invalid(
            f"the target directory {directory[:200]!r} is not an absolute path",
            "name a new or empty directory on the agent's host, such as /srv/restore",
        )
    return RestoreRequest(
        recovery_point_id="" if moment is not None else _point_id(body),
        moment=moment,
        target_directory=directory,
        tablespaces=_locations(_get(wish, "tablespaces") or {}),
        start=_boolean(_get(wish, "start") or False),
        port=_port(_get(wish, "port") or 0),
        part=part,
        load=load,
        in_place=in_place,
        signature=signature,
    )


def _check_store(asked: object, stores: tuple[str, ...]) -> None:
    """Invalid where what is restored lies in another store than was asked for; none is all."""
    if asked and str(asked).lower() not in {store.lower() for store in stores}:
        raise _invalid(
            f"sourceDataStoreType {str(asked)[:60]!r} holds nothing that this could restore",
            f"send {' or '.join(stores)}",
        )


def _moment(body: Mapping[str, Any], wish: Mapping[str, Any], now: Instant) -> Moment | None:
    """Of ARM's `AzureBackupRecoveryTimeBasedRestoreRequest`, or of our own wish `moment`."""
    ours = _get(wish, "moment") or {}
    if not isinstance(ours, Mapping):
        raise _invalid("moment is not an object", "send one of time, lsn, xid and name")
    return read_moment(ours, _get(body, "recoveryPointTime"), now)


def _leave_at(
    part: ExtractRequest | None, wish: Mapping[str, Any], now: Instant, *, placed: bool, own: str
) -> Signature | None:
    """Where files go if to no directory; what opens it comes back apart."""
    files = _get(wish, "files")
    if files is None:
        return None
    url = str(_get(files, "url") or "") if isinstance(files, Mapping) else ""
    if not url and not placed:
        return None
    if part is None or part.target_server or not url:
        raise _invalid("files names no place", "send a url, and in part what is left there")
    endpoint = str(_get(files, "endpoint") or "")
    signed = placed and not container_of(url.rstrip("/"), own)
    place, signature = read_place(url, endpoint, now, signed=signed)
    check_ours(place, signature, own)
    part.target_url, part.target_endpoint = place.url, place.endpoint
    return signature


def _is_absolute(directory: str) -> bool:
    return directory.startswith("/") and "\0" not in directory and "/../" not in f"{directory}/"


def _in_place(wish: Mapping[str, Any]) -> bool:
    if not _boolean(_get(wish, "inPlace") or False):
        return False
    if _get(wish, "part") is not None or _get(wish, "load") is not None:
        raise _invalid("a part is never restored in place", "leave out inPlace")
    return True


def _load(wish: Mapping[str, Any]) -> LoadRequest | None:
    load = _get(wish, "load")
    if load is None:
        return None
    if not isinstance(load, Mapping):
        raise _invalid("load is not an object", "name its targetServer")
    roles = _boolean(_get(load, "withRoles") or False)
    return read_load(_get(load, "targetServer"), _get(load, "databases") or {}, with_roles=roles)


def _part(wish: Mapping[str, Any]) -> ExtractRequest | None:
    part = _get(wish, "part")
    if part is None:
        return None
    if not isinstance(part, Mapping):
        raise _invalid("part is not an object", "name its database, and perhaps its table")
    names = ("database", "table", "rename", "filePrefix", "targetServer")
    return read_extract(*(str(_get(part, name) or "") for name in names))


def _get(body: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401
    for key, value in body.items():
        if key.lower() == name.lower():
            return value
    return None


def _mapping(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = _get(body, name)
    if not isinstance(found, Mapping):
        raise _invalid(f"{name} is missing", f"send {name} as an object")
    return found


def _invalid(message: str, hint: str) -> Invalid:
    return Invalid(message, hint=hint, code="BMSUserErrorInvalidInput")


def _point_id(body: Mapping[str, Any]) -> str:
    found = str(_get(body, "recoveryPointId") or "")
    if not _POINT.fullmatch(found):
        raise _invalid(
            f"recoveryPointId {found[:64]!r} is not 32 hexadecimal digits",
            "list the recovery points and copy one id",
        )
    return found.lower()


def _locations(value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise _invalid("tablespaces is not an object", "map each old location to a new one")
    for old, new in value.items():
        if not str(old).startswith("/") or not str(new).startswith("/"):
            raise _invalid(
                f"tablespace mapping {str(old)[:80]!r} = {str(new)[:80]!r} is not absolute",
                "write it as /old/location=/new/location",
            )
    return {str(old): str(new) for old, new in value.items()}


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise _invalid(f"{str(value)[:60]!r} is neither true nor false", "send true or false")
    return value


def _port(value: object) -> int:
    text = str(value)
    if not text.isdigit() or int(text) > 65535:
        raise _invalid(
            f"port {text[:20]!r} is not a port number", "use 1 to 65535, or leave it out"
        )
    return int(text)
