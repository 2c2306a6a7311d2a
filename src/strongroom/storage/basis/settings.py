"""What the storage endpoint is told. The account key comes as bytes, not as a file's name."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from strongroom.model.errors import Invalid
from strongroom.model.listening import is_loopback

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
class BackEndSettings:
    """Where blobs lie when not on the disk: s3://BUCKET[/PREFIX], azure://ACCOUNT/CONTAINER[/...].

    `endpoint` is http(s)://host:port[/account] of who is not AWS or Azure. `secrets`: names as in
    the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION,
    AZURE_STORAGE_KEY). `without_native_locks`: the ledger's locks are enough, a person has said.
    `adopt`: an empty ledger is made anew from what another store has put there (adopting.py).
    `retry_seconds` lie between two tries of what the provider did not do.
    """

    url: str
    endpoint: str = ""
    secrets: Mapping[str, str] = field(repr=False, default_factory=dict)
    without_native_locks: bool = False
    adopt: bool = False
    retry_seconds: float = 30.0

    def __post_init__(self) -> None:
        """Refuse what is no such place, and one in the clear beyond loopback."""
        wanted = {"s3": 1, "azure": 2}.get(self.kind, 0)
        if not wanted or len(self._parts) < wanted or not all(self._parts):
            raise Invalid(
                f"{self.url} is no back end",
                hint="Give s3://BUCKET/PREFIX or azure://ACCOUNT/CONTAINER/PREFIX.",
            )
        place = urlsplit(self.endpoint)
        if self.endpoint and not (
            place.scheme == "https"
            or (place.scheme == "http" and is_loopback(place.hostname or ""))
        ):
            raise Invalid(
                f"at {self.endpoint} the blobs would travel in the clear",
                hint="Name the back end's endpoint by https.",
            )

    @property
    def kind(self) -> str:
        """s3 or azure."""
        return self.url.partition("://")[0]

    @property
    def account(self) -> str:
        """Azure's storage account."""
        return self._parts[0]

    @property
    def container(self) -> str:
        """The bucket, or Azure's container."""
        return self._parts[1 if self.kind == "azure" else 0]

    @property
    def prefix(self) -> str:
        """Of every key; empty, or it ends in `/`."""
        rest = self._parts[2 if self.kind == "azure" else 1 :]
        return "".join(f"{part}/" for part in rest)

    @property
    def _parts(self) -> list[str]:
        return self.url.partition("://")[2].rstrip("/").split("/")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """Bytes, seconds and paths.

    `reserve_bytes` of the disk are never given to uploads: deletes and the ledger live on them.
    `port` 0 takes a free one; `ready.json` in `root` tells which. `tls_cert` and `tls_key` (PEM
    files) switch to https. `threads` is how many requests touch the disk at the same time.
    Every byte is read again once in `scrub_days` (0: never), at a bounded rate. `accept_clock`:
    the host's clock is right, though the store stood still for long (lock_clock.py).
    `reader_key`: of whoever pulls from here; `pull`: from where this store is filled; `back_end`:
    where its blobs lie, if not beneath `root`.
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
    back_end: BackEndSettings | None = None

    @property
    def back_end_file(self) -> Path:
        """Says how far the back end is behind."""
        return self.root / "back-end.json"

    @property
    def ready_file(self) -> Path:
        """Says where the endpoint listens, once it does."""
        return self.root / "ready.json"
