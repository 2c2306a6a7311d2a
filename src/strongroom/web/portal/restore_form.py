"""The restore wizard's form as the request that the API takes: what, and where to."""

from typing import Any

from whenever import OffsetDateTime, PlainDateTime

from strongroom.model.errors import Invalid
from strongroom.web.portal.door import Form

WHATS = ("all", "database", "table", "files")
WHERES = ("directory", "in_place", "server", "place")
_FIELDS = {"time": "moment", "lsn": "lsn", "xid": "xid", "name": "named", "follow": ""}
_FREE = {"moment", "lsn", "xid", "named", "timeline", "database", "table", "rename", "directory"}
_FREE |= {"copy", "server", "url", "endpoint", "prefix", "port", "tablespaces"}
FIELDS = frozenset({*_FREE, "point", "when", "what", "where", "roles", "start"})  # a link may fill


def request_of(form: Form, zone: str) -> dict[str, Any]:
    """ARM's restore request; times without an offset are of `zone`. Raises Invalid."""
    return {
        "objectType": "AzureBackupRecoveryPointBasedRestoreRequest",
        "sourceDataStoreType": "VaultStore",
        "recoveryPointId": form.text("point"),
        "restoreTargetInfo": {
            "objectType": "RestoreTargetInfo",
            "recoveryOption": "FailIfExists",
            "strongroom": _wish(form) | _moment(form, zone),
        },
    }


def _wish(form: Form) -> dict[str, Any]:
    what, where = form.text("what", "all"), form.text("where", "directory")
    wish: dict[str, Any] = {}
    if where == "directory":
        wish["targetDirectory"] = form.text("directory")
    if what == "all" and where == "server":
        wish["load"] = {"targetServer": form.text("server"), "withRoles": form.has("roles")}
    elif what == "all" and where in {"directory", "in_place"}:
        wish |= _whole(form, in_place=where == "in_place")
    else:
        wish["part"] = _part(form, what, form.text("server") if where == "server" else "")
    if where == "place":
        wish["files"] = {"url": form.text("url"), "endpoint": form.text("endpoint")}
    return wish


def _moment(form: Form, zone: str) -> dict[str, Any]:
    """What of the kept log is asked for; nothing: the point that is chosen."""
    when = form.text("when", "time" if form.text("moment") else "point")
    if when not in _FIELDS:
        return {}
    value = form.text(_FIELDS[when]) if when != "follow" else "on"
    if not value:
        words = {"time": "a second", "lsn": "a position", "xid": "a transaction"}
        missing = words.get(when, "a name")
        raise Invalid(
            f"{missing} was chosen and none is written", hint="write it, or choose a point"
        )
    found: dict[str, Any] = {when: _time(value, zone) if when == "time" else value}
    timeline = form.text("timeline")
    if timeline:
        if not timeline.isdigit():
            raise Invalid(f"{timeline[:20]!r} is no timeline", hint="write its number")
        found["timeline"] = int(timeline)
    return {"moment": found}


def _time(value: str, zone: str) -> str:
    text = value.replace(" ", "T", 1)
    try:
        at = PlainDateTime.parse_iso(text).assume_tz(zone).to_instant()
    except ValueError:
        try:
            at = OffsetDateTime.parse_iso(text).to_instant()
        except ValueError as error:
            hint = "write it as 2026-11-22 14:05:00"
            raise Invalid(f"{value[:40]!r} is no time", hint=hint) from error
    return at.format_iso()


def _whole(form: Form, *, in_place: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"start": form.has("start")}
    if in_place:
        found["inPlace"] = True
    lines = [line.strip() for line in form.text("tablespaces").splitlines() if line.strip()]
    if any("=" not in line for line in lines):
        raise Invalid(
            "a tablespace's line has no =", hint="write it as /old/location=/new/location"
        )
    found["tablespaces"] = dict(line.split("=", 1) for line in lines)
    if form.text("port"):
        if not form.text("port").isdigit():
            raise Invalid("this port is no number", hint="use 1 to 65535, or leave it empty")
        found["port"] = int(form.text("port"))
    return found


def _part(form: Form, what: str, server: str) -> dict[str, Any]:
    part = {"filePrefix": form.text("prefix"), "targetServer": server}
    if what in {"database", "table"}:
        part["database"] = form.text("database")
        part["rename"] = form.text("rename")
        if not part["database"]:
            raise Invalid("no database is named", hint="choose one that lies in this point")
    if what == "table":
        part["table"] = form.text("table")
        if not part["table"]:
            raise Invalid("no table is named", hint="write it as schema.table")
    return part
