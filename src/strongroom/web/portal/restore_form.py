"""The restore wizard's form as the request that the API takes: what, and where to."""

from typing import Any

from whenever import OffsetDateTime, PlainDateTime

from strongroom.model.errors import Invalid
from strongroom.web.portal.door import Form

WHATS = ("all", "database", "table", "files")
WHERES = ("directory", "in_place", "server", "place")


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
    """Any second that the kept log reaches; none asked for: the point that is chosen."""
    text = form.text("moment").replace(" ", "T", 1)
    if not text:
        return {}
    try:
        at = PlainDateTime.parse_iso(text).assume_tz(zone).to_instant()
    except ValueError:
        try:
            at = OffsetDateTime.parse_iso(text).to_instant()
        except ValueError as error:
            hint = "write it as 2026-11-22 14:05:00"
            raise Invalid(f"{text[:40]!r} is no time", hint=hint) from error
    return {"moment": {"time": at.format_iso()}}


def _whole(form: Form, *, in_place: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"start": form.has("start")}
    if in_place:
        found["inPlace"] = True
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
