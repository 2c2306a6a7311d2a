"""I6 blind writer: secrets, and the places on the machines where none of them may be."""

import base64
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import second_reader
from oracle.book import every_value

if TYPE_CHECKING:
    from oracle.look import Look

_SIGNATURE = re.compile(rb"[?&]sig=[A-Za-z0-9%+/=]{20,}")


@dataclass(kw_only=True)
class Host:
    """Where processes leave traces. `secrets`: what it is -> the very bytes."""

    processes: Callable[[], Mapping[str, int]]  # name -> process id, those that run
    logs: Callable[[], list[Path]]
    catalogue: Path | None
    agent_home: Path | None
    secrets: Callable[[], Mapping[str, bytes]]
    seen: dict[Path, int] = field(default_factory=dict)  # log -> bytes that were searched


def blind_writer(look: "Look") -> Iterator[str]:
    """I6. No secret in arguments, environments, logs; deep: nor in rows or the agent's files."""
    host = look.watched.host
    if host is None:
        return
    secrets = host.secrets()
    for place, text in _traces(host):
        for what, secret in secrets.items():
            if secret in text:
                yield f"{what} stands in {place}"
        if _SIGNATURE.search(text):
            yield f"the signature of a SAS stands in {place}"
    if look.deep:
        yield from _in_rows(host, secrets)
        yield from _keys_at_the_agent(look, host)


def _traces(host: Host) -> Iterator[tuple[str, bytes]]:
    for name, pid in host.processes().items():
        for what in ("cmdline", "environ"):
            try:
                yield f"the {what} of {name}", Path(f"/proc/{pid}/{what}").read_bytes()
            except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
                continue
    for path in host.logs():
        with path.open("rb") as file:
            file.seek(max(0, host.seen.get(path, 0) - 4096))
            text = file.read()
            host.seen[path] = file.tell()
        yield f"the log {path.name}", text


def _in_rows(host: Host, secrets: Mapping[str, bytes]) -> Iterator[str]:
    if host.catalogue is None:
        return
    for table, row in every_value(host.catalogue):
        for what, secret in secrets.items():
            if secret.decode(errors="replace") in row:
                yield f"{what} stands in a row of {table}"


def _keys_at_the_agent(look: "Look", host: Host) -> Iterator[str]:
    """The private keys of every instance, opened with the recovery key, and not one of them."""
    if host.agent_home is None:
        return
    files = [(p, p.read_bytes()) for p in host.agent_home.rglob("*") if p.is_file()]
    for container, names in look.listed.items():
        for name in names:
            if not name.startswith("k/"):
                continue
            key, _, later = Path(name).stem.partition(".")
            if later:
                continue  # for a kit that we do not have
            info = b"strongroom-instance-key-1" + bytes.fromhex(key)
            sealed = look.doors[container].read(name)
            secret = second_reader.unpack(look.recovery.private.open(info, sealed))["secret"]
            for path, data in files:
                if secret in data or base64.b64encode(secret) in data:
                    yield f"the private half of {name} lies in {path.name} at the agent"
