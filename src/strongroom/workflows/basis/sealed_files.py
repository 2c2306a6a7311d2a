"""The installation's signing keys: files, sealed under the key-encryption key.

    "sealed-1 " | base64 of an envelope (kek.py), bound to the file's name | newline

A file that is plain (an installation's own files were just put back) is sealed when it is read.
"""

import base64
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from strongroom.config import replace_private, write_private
from strongroom.model.errors import WrongKey
from strongroom.model.seams import Chance
from strongroom.workflows.basis.kek import KeyEncryption

RECEIPTS, TOKENS = "receipt-signing.key", "token-signing.pem"
_MARK = b"sealed-1 "


class SealedFiles:
    """Those of one directory. What was opened stays in memory. Safe for threads."""

    def __init__(self, directory: Path, kek: KeyEncryption) -> None:
        self._directory = directory
        self._kek = kek
        self._lock = threading.Lock()
        self._opened: dict[str, bytes] = {}

    def keep(self, name: str, make: Callable[[], bytes]) -> bytes:
        """The content of a file, which is made at the first start. Raises WrongKey."""
        path = self._directory / name
        with self._lock:
            if name not in self._opened:
                if not path.exists():
                    write_private(path, self._sealed(name, make()))
                self._opened[name] = self._open(path)
            return self._opened[name]

    def signing_key(self, chance: Chance) -> bytes:
        """The 32 bytes that sign receipts and the audit."""
        content = self.keep(RECEIPTS, lambda: base64.b64encode(chance.bytes(32)) + b"\n")
        return base64.b64decode(content)

    def opened(self, own: Callable[[], Mapping[str, bytes]]) -> dict[str, bytes]:
        """Those files, with what is sealed of them opened: as they would be put back."""
        with self._lock:
            return {name: self._opened.get(name, content) for name, content in own().items()}

    def seal_anew(self) -> int:
        """Whatever another key has sealed; how many. Safe twice."""
        count = 0
        with self._lock:
            for name, content in self._opened.items():
                path = self._directory / name
                if self._kek.is_shared or not self._is_current(path):
                    replace_private(path, self._sealed(name, content))
                    count += 1
        return count

    def stale(self) -> list[str]:
        """Names of files that are sealed under another key than the one that seals now."""
        with self._lock:
            return [n for n in self._opened if not self._is_current(self._directory / n)]

    def _is_current(self, path: Path) -> bool:
        content = path.read_bytes()
        return content.startswith(_MARK) and self._kek.is_current(_envelope(content))

    def _open(self, path: Path) -> bytes:
        content = path.read_bytes()
        if not content.startswith(_MARK):
            replace_private(path, self._sealed(path.name, content))
            return content
        try:
            return self._kek.open(_envelope(content), _bound_to(path.name))
        except WrongKey as error:
            raise WrongKey(
                f"{path} does not open: {error.message}",
                hint="put back the key-encryption key that it was sealed under, "
                "or the file of that time",
            ) from error

    def _sealed(self, name: str, content: bytes) -> bytes:
        envelope = self._kek.seal(content, _bound_to(name))
        return _MARK + base64.b64encode(envelope) + b"\n"


def _envelope(content: bytes) -> bytes:
    try:
        return base64.b64decode(content.removeprefix(_MARK).strip(), validate=True)
    except ValueError as error:
        raise WrongKey("a sealed file is cut off, or was written over") from error


def _bound_to(name: str) -> bytes:
    return f"file {name}".encode()
