"""What the storage endpoint is told. The account key comes as bytes, not as a file's name."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from strongroom.model.errors import Invalid

GIB = 1 << 30
MIB = 1 << 20
_ACCOUNT = re.compile(r"[a-z0-9]{3,24}", flags=re.ASCII)


@dataclass(frozen=True, slots=True)
class Account:
    """The one account of an endpoint: its name, and the key (bytes) that may do everything.

    `reader_key` (empty: there is none) may read and list everything, and do nothing.
    """

    name: str
    key: bytes = field(repr=False)
    reader_key: bytes = field(repr=False, default=b"")

    def __post_init__(self) -> None:
        """Refuse a name that Azure would refuse, and a key that could be guessed."""
        if not _ACCOUNT.fullmatch(self.name):
            raise Invalid(
                f"the storage account's name {self.name!r} is not 3 to 24 letters and digits",
                hint="Use lower-case letters and digits only, such as strongroom.",
            )
        if len(self.key) < 32 or 0 < len(self.reader_key) < 32:
            raise Invalid(
                "a key of the storage account is shorter than 32 bytes",
                hint="Make one with: head -c 64 /dev/urandom | base64 -w0",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class PullSettings:
    """From which endpoint this one is filled: `url` is http(s)://host:port/account.

    `key` is its reader key; `ca` (PEM) is whom to trust for https. What is gone there stays here
    for `keep_days`, and for as long as a lock or a hold keeps it here.
    """

    url: str
    key: bytes = field(repr=False)
    ca: bytes | None = None
    keep_days: float = 14.0
    every_seconds: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """Bytes, seconds and paths.

    `reserve_bytes` of the disk are never given to uploads: deletes and the ledger live on them.
    `port` 0 takes a free one; `ready.json` in `root` tells which. `tls_cert` and `tls_key` (PEM
    files) switch to https. `threads` is how many requests touch the disk at the same time.
    Every byte is read again once in `scrub_days` (0: never), at a bounded rate. `accept_clock`:
    the host's clock is right, though the store stood still for long (lock_clock.py).
    `reader_key`: of whoever pulls from here; `pull`: from where this store is filled.
    """

    root: Path
    account: str
    account_key: bytes = field(repr=False)
    host: str = "127.0.0.1"
    port: int = 0
    tls_cert: Path | None = None
    tls_key: Path | None = None
    reserve_bytes: int = GIB
    max_blob_bytes: int = 5 * GIB
    max_blocks: int = 50_000
    staged_seconds: float = 24 * 3600.0
    scrub_days: float = 30.0
    scrub_bytes_per_second: int = 32 * MIB
    idle_seconds: float = 60.0
    stop_seconds: int = 10
    threads: int = 16
    accept_clock: bool = False
    reader_key: bytes = field(repr=False, default=b"")
    pull: PullSettings | None = None

    @property
    def ready_file(self) -> Path:
        """Says where the endpoint listens, once it does."""
        return self.root / "ready.json"
