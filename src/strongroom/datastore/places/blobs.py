"""One container at a storage endpoint, as the recovery format needs it: names are given once.

Promises of every implementation: `create` stores all of `data` under a new name or raises, and
never changes an existing name (ObjectExists); what `create` has accepted, `read` gives back;
`list` is complete. Errors are StoreError classes, without a SAS in any message.
"""

import errno
import os
import re
import stat
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, TypedDict
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotFoundError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import AzureStore

from strongroom.model.errors import (
    Corrupt,
    ObjectExists,
    ObjectMissing,
    StoreDenied,
    StoreError,
    StoreFull,
    StoreQuotaReached,
    StoreUnavailable,
    VaultError,
)

Bytes = bytes | memoryview | bytearray
_ANSWER = re.compile(
    r"non-2xx status code: (\d{3}) [A-Za-z ]*:(?: <\?xml[^>]*><Error><Code>(\w+)</Code>)?"
)
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)  # obstore asks again: None would mean "for ever"


class Creates(Protocol):
    """What a writer needs of a container."""

    def create(self, name: str, data: Bytes) -> None:
        """Store under a new name; ObjectExists when it is taken."""
        ...


class Blobs(Creates, Protocol):
    """One container."""

    def read(self, name: str) -> bytes:
        """The whole object; ObjectMissing when there is none."""
        ...

    def read_range(self, name: str, start: int, length: int) -> bytes:
        """`length` bytes from `start`, fewer (or none) only where the object ends."""
        ...

    def size(self, name: str) -> int:
        """Bytes of an object."""
        ...

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """(name, size) of every object below a folder ("" or "…/"), in the order of names."""
        ...


class SasToken(TypedDict):
    """What obstore takes as a credential that renews itself."""

    sas_token: str
    expires_at: datetime | None


class AzureBlobs:
    """A container at an Azure-Blob-compatible endpoint."""

    def __init__(
        self,
        container_url: str,
        *,
        sas: Callable[[], str] | None = None,
        account_key: str | None = None,
        ca: bytes | None = None,
    ) -> None:
        """`container_url` is http(s)://host:port/account/container; `account_key` is base64.

        `ca` (PEM) is whom to trust for https, beside the authorities that are known to everybody.

        `sas` is asked again for every request, so a renewed one is used at once.
        """
        parts = urlsplit(container_url)
        account, container = parts.path.strip("/").split("/")
        options: dict[str, Any] = {
            "account_name": account,
            "endpoint": f"{parts.scheme}://{parts.netloc}/{account}",
            "client_options": {
                "allow_http": parts.scheme == "http",
                "timeout": "120s",
                "connect_timeout": "10s",
            },
            "retry_config": {
                "max_retries": 6,
                "retry_timeout": timedelta(seconds=60),
                "backoff": {
                    "init_backoff": timedelta(milliseconds=200),
                    "max_backoff": timedelta(seconds=10),
                    "base": 2,
                },
            },
        }
        if ca is not None:
            options["client_options"]["root_certificate"] = ca
        self._ask = sas
        self._unasked: VaultError | None = None
        if sas is not None:
            options["credential_provider"] = self._credential
        else:
            options["account_key"] = account_key
        self._store = AzureStore(container, **options)

    def _credential(self) -> SasToken:
        """Called by obstore before each request; what it raises comes back to us as words only."""
        try:
            return SasToken(sas_token=self._ask() if self._ask else "", expires_at=_LONG_AGO)
        except VaultError as error:
            self._unasked = error
            raise

    def _failure(self, error: Exception, name: str) -> VaultError:
        if isinstance(error, UnauthenticatedError) and self._unasked is not None:
            return self._unasked
        return _translate(error, name)

    def create(self, name: str, data: Bytes) -> None:
        """Create-only, in one request."""
        try:
            obstore.put(self._store, name, data, mode="create", use_multipart=False)
        except (BaseError, FileNotFoundError, FileExistsError) as error:
            raise self._failure(error, name) from error

    def read(self, name: str) -> bytes:
        """The whole object."""
        try:
            return bytes(obstore.get(self._store, name).bytes())
        except (BaseError, FileNotFoundError) as error:
            raise self._failure(error, name) from error

    def read_range(self, name: str, start: int, length: int) -> bytes:
        """A part of the object."""
        if length <= 0:
            return b""
        try:
            return bytes(obstore.get_range(self._store, name, start=start, length=length))
        except (BaseError, FileNotFoundError) as error:
            if _told(error)[0] == 416:
                return b""
            raise self._failure(error, name) from error

    def size(self, name: str) -> int:
        """Bytes of an object."""
        try:
            return int(obstore.head(self._store, name)["size"])
        except (BaseError, FileNotFoundError) as error:
            raise self._failure(error, name) from error

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Pages are fetched as they are needed."""
        try:
            for page in obstore.list(self._store, prefix or None):
                for entry in page:
                    yield str(entry["path"]), int(entry["size"])
        except (BaseError, FileNotFoundError) as error:
            raise self._failure(error, prefix) from error


def _translate(error: Exception, name: str) -> StoreError:
    status, code = _told(error)
    if code == "BlobCorrupt":
        return Corrupt(
            f"the storage endpoint finds {name} damaged",
            hint="restore another recovery point, and look into the storage endpoint's log",
        )
    missing = isinstance(error, NotFoundError | FileNotFoundError)
    if missing or code == "ContainerNotFound":  # a listing's, which has no name
        return ObjectMissing(f"{name} is not in storage")
    if isinstance(error, AlreadyExistsError | FileExistsError) and code != "PathConflict":
        return ObjectExists(f"{name} exists already")
    if status == 507:
        return StoreFull(
            "the storage endpoint is full",
            hint="free space or add some; backups go on by themselves when there is room",
        )
    refused = isinstance(error, PermissionDeniedError | UnauthenticatedError)
    if refused or (400 <= status < 500 and status not in {408, 429}):
        return _refusal(name, code)
    return StoreUnavailable(
        f"the storage endpoint cannot be reached for {name}",
        hint="see whether it runs: strongroom status",
    )


def _refusal(name: str, code: str) -> StoreError:
    if code == "InsufficientAccountPermissions":
        return StoreQuotaReached(
            "this operation has put as many bytes into storage as it may",
            hint=(
                "has the server grown much of late? Then back it up again: the quota follows its "
                "size. If not, find out what else writes with this agent's access"
            ),
        )
    return StoreDenied(
        f"the storage endpoint refuses access to {name}" + (f" ({code})" if code else ""),
        hint="the access may have expired; it is renewed with the next lease",
    )


def _told(error: Exception) -> tuple[int, str]:
    """The answer's HTTP status and Azure's code, or 0 and "".

    obstore tells them only in its message, in one fixed form: `status code: 507 Insufficient
    Storage: <?xml ...><Error><Code>InsufficientStorage</Code>`. Neither follows a name of ours.
    """
    found = _ANSWER.search(str(error))
    return (int(found[1]), found[2] or "") if found else (0, "")


class MemoryBlobs:
    """A container in memory, honest about every promise."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def create(self, name: str, data: Bytes) -> None:
        """Create-only."""
        with self._lock:
            if name in self.objects:
                raise ObjectExists(f"{name} exists already")
            self.objects[name] = bytes(data)

    def read(self, name: str) -> bytes:
        """The whole object."""
        try:
            return self.objects[name]
        except KeyError as error:
            raise ObjectMissing(f"{name} is not in storage") from error

    def read_range(self, name: str, start: int, length: int) -> bytes:
        """A part of the object."""
        return self.read(name)[start : start + length]

    def size(self, name: str) -> int:
        """Bytes of an object."""
        return len(self.read(name))

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """In the order of names."""
        for name in sorted(self.objects):
            if name.startswith(prefix):
                yield name, len(self.objects[name])


class DirectoryBlobs:
    """A container as plain files below a directory: what a rescue reads."""

    def __init__(self, directory: Path) -> None:
        self._root = directory

    def _path(self, name: str) -> Path:
        segments = name.split("/")
        if any(part in {"", ".", ".."} for part in segments) or "\0" in name:
            raise ObjectMissing(f"{name!r} is no name of an object")
        if any(0xD800 <= ord(letter) < 0xE000 for letter in name):
            raise ObjectMissing(f"{name!r} is no name of an object")
        return self._root.joinpath(*segments)

    def create(self, name: str, data: Bytes) -> None:
        """Create-only: written beside, synced, linked."""
        path = self._path(name)
        beside = path.with_name(f".{os.getpid()}.{threading.get_ident()}.new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with beside.open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                os.link(beside, path)
                _sync(path.parent)
            finally:
                beside.unlink(missing_ok=True)
        except OSError as error:
            raise _of_files(error, name, path) from error

    def read(self, name: str) -> bytes:
        """The whole file."""
        path = self._path(name)
        try:
            return path.read_bytes()
        except OSError as error:
            raise _of_files(error, name) from error

    def read_range(self, name: str, start: int, length: int) -> bytes:
        """A part of the file."""
        path = self._path(name)
        try:
            with path.open("rb") as file:
                file.seek(start)
                return file.read(length)
        except OSError as error:
            raise _of_files(error, name) from error

    def size(self, name: str) -> int:
        """Bytes of the file."""
        path = self._path(name)
        try:
            found = path.stat()
        except OSError as error:
            raise _of_files(error, name) from error
        if not stat.S_ISREG(found.st_mode):
            raise ObjectMissing(f"{name} is not in storage")
        return found.st_size

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """In the order of names; what a writer is still writing is no object yet."""
        try:
            found = [
                (path.relative_to(self._root).as_posix(), path.stat().st_size)
                for path in self._root.rglob("*")
                if path.is_file() and not path.name.startswith(".")
            ]
        except OSError as error:
            raise _of_files(error, prefix) from error
        yield from (entry for entry in sorted(found) if entry[0].startswith(prefix))


def _sync(directory: Path) -> None:
    """A new name is safe when its directory is."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _of_files(error: OSError, name: str, creating: Path | None = None) -> StoreError:
    if creating is not None and isinstance(error, FileExistsError) and creating.exists():
        return ObjectExists(f"{name} exists already")
    gone = FileNotFoundError | IsADirectoryError | NotADirectoryError
    if creating is None and (isinstance(error, gone) or error.errno == errno.ENAMETOOLONG):
        return ObjectMissing(f"{name} is not in storage")
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return StoreFull(f"there is no room for {name}", hint="free space or add some")
    return StoreUnavailable(f"{name} cannot be read or written: {error.strerror}")
