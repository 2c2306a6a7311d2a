"""Azure's kinds of restore targets, in the words of our own wishes (restore_request.py).

    RestoreTargetInfo            a data directory, under `strongroom` or in a URI; or a server by
                                 its id, into which a logical point is loaded
    RestoreFilesTargetInfo       all as files: targetDetails {url, filePrefix}
    ItemLevelRestoreTargetInfo   one item into a server: restoreCriteria [{itemPath, renameTo}]

`url` is a container with its signature, s3://bucket/prefix or file:///directory; `strongroom`
beside targetDetails may say `part` (one database, one table) and `endpoint` (of the bucket). An
item's path is DATABASE, or DATABASE/SCHEMA.TABLE. Source: azure-mgmt-dataprotection 2.2.0 models.
"""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from strongroom.model.arm import invalid, pick, pick_object, pick_text

Wish = Mapping[str, Any]
_OPTION = "FailIfExists"
_BLOBS = "AzureBlobs"
_ITEM = "ItemPathBasedRestoreCriteria"


def wish_of(target: Mapping[str, Any]) -> Wish:
    """What is asked for, by our names: `targetDirectory`, `files`, `part`, ... Raises Invalid."""
    kind = pick_text(target, "objectType")
    if kind not in _KINDS:
        raise invalid(
            f"restore target {kind[:60]!r} is not offered", f"ask for one of {', '.join(_KINDS)}"
        )
    option = pick_text(target, "recoveryOption") or _OPTION
    if option != _OPTION:
        raise invalid(f"recovery option {option[:60]!r} is not offered", f"ask for {_OPTION}")
    return _KINDS[kind](target)


def _as_server(target: Mapping[str, Any]) -> Wish:
    wish = pick(target, "strongroom") or _from_uri(pick_object(target, "datasourceInfo"))
    if not isinstance(wish, Mapping):
        raise invalid("restoreTargetInfo.strongroom is not an object", "see the API table")
    return wish


def _from_uri(source: Mapping[str, Any]) -> Wish:
    parts, server = urlsplit(pick_text(source, "resourceUri")), pick_text(source, "resourceID")
    if parts.scheme != "file" and server:
        return {"load": {"targetServer": server}}
    if parts.scheme != "file":
        raise invalid(
            "the restore names no target directory",
            "set datasourceInfo.resourceUri to file:///absolute/directory",
        )
    query = parse_qs(parts.query)
    return {
        "targetDirectory": unquote(parts.path),
        "start": query.get("start", ["false"])[0] == "true",
        "port": query.get("port", ["0"])[0],
        "tablespaces": dict(
            pair.split("=", 1) for pair in query.get("tablespace", []) if "=" in pair
        ),
    }


def _as_files(target: Mapping[str, Any]) -> Wish:
    details, ours = pick_object(target, "targetDetails"), pick_object(target, "strongroom")
    part = {**pick_object(ours, "part"), "filePrefix": pick_text(details, "filePrefix")}
    url = pick_text(details, "url")
    if url.startswith("file:///"):
        return {"targetDirectory": unquote(urlsplit(url).path), "part": part}
    kind = pick_text(details, "restoreTargetLocationType")
    if kind != _BLOBS and not url.startswith("s3:"):
        if not kind and not url:
            raise invalid(
                "the restore names no place for the files",
                "send restoreTargetInfo.targetDetails: url, filePrefix, restoreTargetLocationType",
            )
        raise invalid(f"restoreTargetLocationType {kind[:60]!r} is not offered", f"send {_BLOBS}")
    return {"files": {"url": url, "endpoint": pick_text(ours, "endpoint")}, "part": part}


def _as_item(target: Mapping[str, Any]) -> Wish:
    criteria = pick(target, "restoreCriteria")
    if (
        not isinstance(criteria, list)
        or len(criteria) != 1
        or not isinstance(criteria[0], Mapping)
    ):
        raise invalid("a restore takes one item", "send one of restoreCriteria for each restore")
    item = criteria[0]
    if pick_text(item, "objectType") != _ITEM or pick(item, "subItemPathPrefix"):
        raise invalid("an item is named by its path alone", f"send {_ITEM} with itemPath")
    database, _, table = pick_text(item, "itemPath").strip("/").partition("/")
    if not database:
        raise invalid("the item has no path", "write DATABASE, or DATABASE/SCHEMA.TABLE")
    server = pick_text(pick_object(target, "datasourceInfo"), "resourceID")
    if not server:
        raise invalid(
            "the restore names no server", "set datasourceInfo.resourceID to the server's id"
        )
    return {
        "part": {
            "database": database,
            "table": table,
            "rename": pick_text(item, "renameTo"),
            "targetServer": server,
        }
    }


_KINDS: dict[str, Callable[[Mapping[str, Any]], Wish]] = {
    "RestoreTargetInfo": _as_server,
    "RestoreFilesTargetInfo": _as_files,
    "ItemLevelRestoreTargetInfo": _as_item,
}
