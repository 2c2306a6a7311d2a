"""How far this host obeys its control plane, whoever has taken that over: its own settings say.

Orders are of a few kinds, and none names a command. Beyond that the owner of the host may refuse
whole kinds, and name the storage and the targets that anything is ever sent to.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from strongroom.agent.own_settings import OwnSettings
from strongroom.agent.settings import is_loopback
from strongroom.model.errors import Invalid, TargetRefused
from strongroom.model.work.operation import Lease

# What an order asks for, as the host's settings name it.
KINDS = ("backup", "stream", "restore", "in-place", "start", "files", "send", "load", "drill")
# What a control plane may set in a server that it has restored: nothing that runs or loads.
SETTINGS = {"listen_addresses", "port", "max_connections", "shared_buffers", "work_mem"}
SETTINGS |= {"maintenance_work_mem", "effective_cache_size", "max_wal_size", "huge_pages"}
# Where nothing of a database lies, and much that a machine obeys.
_SYSTEM = ["bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "libx32", "proc", "run", "sbin"]
_SYSTEM += ["sys", "usr", "var/run", "var/spool"]
_OURS = Path("/usr/local")  # where PostgreSQL built by hand has its data
_HINT = "See `strongroom agent settings` on that host, and change it there: agent set."


def check_order(lease: Lease, own: OwnSettings) -> None:
    """Raises TargetRefused for what this host does not do for its control plane."""
    refused = sorted(kinds_of(lease) & set(own.refuse))
    if refused:
        raise TargetRefused(
            f"this host's own settings refuse it: {', '.join(refused)}", hint=_HINT
        )
    if lease.restore is not None:
        _check_settings(lease.restore.settings)
    if lease.access is not None and (lease.backup is not None or lease.stream is not None):
        check_url(lease.access.container_url, own.storage, "storage")  # before a byte is read
    for url in _targets(lease):
        check_url(url, own.targets, "targets")


def bounded(known: OwnSettings, asked: Mapping[str, list[str]]) -> OwnSettings:
    """With other bounds: `refuse`, `storage`, `targets`. Raises Invalid."""
    unknown = sorted(set(asked.get("refuse", [])) - set(KINDS))
    if unknown:
        raise Invalid(f"no kind of order: {unknown[0][:60]}", hint=f"Of: {', '.join(KINDS)}.")
    for url in (*asked.get("storage", []), *asked.get("targets", [])):
        parts = urlsplit(url)
        if parts.scheme not in {"https", "http", "s3"} or not parts.netloc or parts.query:
            raise Invalid(f"{url[:80]!r} is no URL", hint="Write https://HOST[:PORT][/PATH].")
    return msgspec.structs.replace(known, **asked)


def kinds_of(lease: Lease) -> set[str]:
    """What an order asks for."""
    restore, extract = lease.restore, lease.extract
    asked = {
        "backup": lease.backup is not None,
        "stream": lease.stream is not None,
        "restore": restore is not None,
        "in-place": restore is not None and restore.in_place,
        "start": restore is not None and restore.start,
        "files": extract is not None and bool(extract.target_directory),
        "send": bool(_targets(lease)),
        "load": lease.load is not None or (extract is not None and bool(extract.target_server)),
        "drill": lease.drill is not None,
    }
    return {kind for kind, holds in asked.items() if holds}


def _targets(lease: Lease) -> list[str]:
    """Where an order has something sent in the clear."""
    found = [] if lease.long_term is None else [lease.long_term.target_url]
    if lease.extract is not None:
        found += [lease.extract.target_url, lease.extract.target_endpoint]
    if lease.look is not None and lease.look.files is not None:
        found += [lease.look.files.url, lease.look.files.endpoint]
    return [url for url in found if url]


def check_url(url: str, allowed: Sequence[str], what: str) -> None:
    """Raises TargetRefused for one that is none of those allowed (none: any), or is not safe."""
    parts = urlsplit(url)
    shown = f"{parts.scheme}://{parts.hostname or ''}"
    if parts.scheme not in {"https", "s3"} and not is_loopback(parts.hostname or ""):
        raise TargetRefused(
            f"nothing is sent to {shown} in the clear", hint="Use https; http is for 127.0.0.1."
        )
    if allowed and not any(_is_beneath(url, each) for each in allowed):
        raise TargetRefused(f"this host's own settings do not name {shown} as {what}", hint=_HINT)


def _is_beneath(url: str, allowed: str) -> bool:
    """`https://store:8445` allows every path of that very authority."""
    inner, outer = urlsplit(url), urlsplit(allowed)
    same = (inner.scheme, inner.netloc.lower()) == (outer.scheme, outer.netloc.lower())
    path = outer.path.rstrip("/")
    return (
        same
        and (inner.path == path or inner.path.startswith(f"{path}/"))
        and (".." not in inner.path.split("/") and "%" not in inner.path)
    )


def _check_settings(settings: dict[str, str]) -> None:
    others = sorted(name for name in settings if name.lower() not in SETTINGS)
    if others:
        raise TargetRefused(
            f"a control plane does not set {', '.join(others)[:200]} in a restored server",
            hint="Set it by hand, in postgresql.auto.conf.",
        )


def why_not_there(place: Path) -> str:
    """Why nothing is restored there unless the host names it as a root; empty when it may be."""
    hidden = next((part for part in place.parts if part.startswith(".")), "")
    if hidden:
        return f"{hidden} is a hidden directory"
    system = next(
        (Path("/", name) for name in _SYSTEM if place.is_relative_to(Path("/", name))), None
    )
    if place == Path("/") or (system is not None and not place.is_relative_to(_OURS)):
        return f"{system or '/'} is the system's"
    return ""
