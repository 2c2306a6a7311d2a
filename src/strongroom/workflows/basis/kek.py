"""Key-encryption keys: what the private keys in the catalogue are sealed under.

A secret is sealed in an envelope: under a fresh data key, and that one wrapped by the
key-encryption key. So whatever wraps needs to know nothing but 32 bytes: a file of our own, or a
program of the operator's that asks an HSM or a KMS.

    u8 version (1) | 16 key-encryption key's id | u16 length | wrapped data key
    | 12 nonce | AES-256-GCM(data key, secret, AAD = what it is bound to)
"""

import base64
import shlex
import struct
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from blake3 import blake3

from strongroom.config import replace_private, write_private
from strongroom.datastore.keys.keys import open_under_kek, seal_under_kek
from strongroom.model.errors import Invalid, Precondition, StoreUnavailable, WrongKey
from strongroom.model.seams import Chance

COMMAND = "command:"
COMMAND_SECONDS = 30.0
_ID_CONTEXT = "strongroom 1: id of a key-encryption key"
_WRAPPED = b"strongroom-data-key-1"
_HEAD = struct.Struct(">B16sH")
_VERSION = 1
_KEY_SIZE = 32
_MOST_WRAPPED = 16 << 10


class KeyEncryptionKey(Protocol):
    """One key that wraps others. `key_id` (16 bytes) stands beside what it has wrapped."""

    @property
    def key_id(self) -> bytes:
        """The same for the same key, and of no use to open anything."""

    @property
    def name(self) -> str:
        """For people."""

    def wrap(self, secret: bytes, chance: Chance) -> bytes:
        """Wrap 32 bytes. Raises StoreUnavailable when it cannot be asked now."""

    def unwrap(self, wrapped: bytes) -> bytes:
        """The reverse. Raises WrongKey, or StoreUnavailable."""


@dataclass(frozen=True, slots=True)
class FileKey:
    """A line of a file of mode 0600."""

    name: str
    _secret: bytes = field(repr=False)

    @property
    def key_id(self) -> bytes:
        """Follows from the key."""
        return blake3(self._secret, derive_key_context=_ID_CONTEXT).digest(16)

    def wrap(self, secret: bytes, chance: Chance) -> bytes:
        """AES-256-GCM."""
        return seal_under_kek(self._secret, secret, _WRAPPED, chance)

    def unwrap(self, wrapped: bytes) -> bytes:
        """The reverse."""
        return open_under_kek(self._secret, wrapped, _WRAPPED)


@dataclass(frozen=True, slots=True)
class CommandKey:
    """A program, called with one more argument, `wrap` or `unwrap`: bytes in, bytes out.

    It runs without a shell; what it is given comes by standard input alone. Which key it uses is
    its own affair: it finds that in what it has wrapped, as every KMS does.
    """

    arguments: tuple[str, ...]
    seconds: float = COMMAND_SECONDS

    @property
    def name(self) -> str:
        """The program."""
        return f"{COMMAND}{self.arguments[0]}"

    @property
    def key_id(self) -> bytes:
        """Follows from how the program is called."""
        return blake3("\0".join(self.arguments).encode()).digest(16)

    def wrap(self, secret: bytes, chance: Chance) -> bytes:
        """Asks the program."""
        del chance
        status, told, why = self._run("wrap", secret)
        if status or not told or secret in told:
            raise StoreUnavailable(
                f"{self.name} wraps no key: {why or f'it ended with {status}'}",
                hint="run it by hand: 32 bytes in, the wrapped ones out, and 0 as exit code",
                code="KeyEncryptionUnavailable",
            )
        return told

    def unwrap(self, wrapped: bytes) -> bytes:
        """Asks the program; one that ends with another code than 0 does not open it."""
        status, told, why = self._run("unwrap", wrapped)
        if status or len(told) != _KEY_SIZE:
            raise WrongKey(
                f"{self.name} unwraps no key: {why or f'it ended with {status}'}",
                hint="give it the key that has wrapped the keys of this catalogue",
            )
        return told

    def _run(self, verb: str, given: bytes) -> tuple[int, bytes, str]:
        """(exit code, standard output, the first line of what it complained of)."""
        try:
            done = subprocess.run(
                [*self.arguments, verb],
                input=given,
                capture_output=True,
                timeout=self.seconds,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise StoreUnavailable(
                f"{self.name} cannot be asked: {type(error).__name__}",
                hint="see that it is there, may be run by this user, and answers in time",
                code="KeyEncryptionUnavailable",
            ) from error
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        return done.returncode, done.stdout[:_MOST_WRAPPED], lines[0][:200] if lines else ""


class KeyFile:
    """A file of key-encryption keys, base64, a line each: the first one wraps, all of them open.

    It has more than one line only while a rotation is under way.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)

    def ensure(self, chance: Chance) -> None:
        """Made at the first start, mode 0600."""
        if not self.path.exists():
            write_private(self.path, _line(chance.bytes(_KEY_SIZE)))

    def keys(self) -> list[FileKey]:
        """As they stand there. Raises Precondition."""
        try:
            lines = self.path.read_bytes().split()
            found = [base64.b64decode(line, validate=True) for line in lines]
        except (OSError, ValueError) as error:
            raise self._useless() from error
        if not found or any(len(key) != _KEY_SIZE for key in found):
            raise self._useless()
        return [FileKey(str(self.path), key) for key in found]

    def _useless(self) -> Precondition:
        return Precondition(
            f"{self.path} holds no key-encryption key",
            hint="put back the kek.key that belongs to this catalogue",
        )

    def add(self, chance: Chance) -> None:
        """A new first line, unless a rotation is under way already."""
        if len(self.keys()) == 1:
            before = self.path.read_bytes()
            replace_private(self.path, _line(chance.bytes(_KEY_SIZE)) + before)

    def keep_first(self) -> None:
        """The end of a rotation; safe twice."""
        first, *others = self.path.read_bytes().split()
        if others:
            replace_private(self.path, first + b"\n")


def _line(key: bytes) -> bytes:
    return base64.b64encode(key) + b"\n"


class KeyEncryption:
    """All that a control plane was given: the first one seals, all of them open."""

    def __init__(self, sources: Sequence[KeyFile | CommandKey], chance: Chance) -> None:
        self._sources = sources
        self._chance = chance
        self._lock = threading.Lock()
        self._keys = self._load()

    @property
    def current(self) -> KeyEncryptionKey:
        """What seals from now on."""
        with self._lock:
            return self._keys[0]

    @property
    def names(self) -> list[str]:
        """Each source, for people; the one that seals first."""
        return [each.name for each in self._sources]

    @property
    def is_shared(self) -> bool:
        """Whether other processes see a rotation too: a program's key, but no copy of a file."""
        return not isinstance(self._sources[0], KeyFile)

    def seal(self, secret: bytes, bound_to: bytes) -> bytes:
        """An envelope. In a writing transaction of the catalogue, or a rotation may miss it."""
        key, data_key = self.current, self._chance.bytes(_KEY_SIZE)
        wrapped = key.wrap(data_key, self._chance)
        head = _HEAD.pack(_VERSION, key.key_id, len(wrapped))
        return head + wrapped + seal_under_kek(data_key, secret, bound_to, self._chance)

    def open(self, sealed: bytes, bound_to: bytes) -> bytes:
        """The reverse. Raises WrongKey, or StoreUnavailable when a program gives no answer."""
        key_id, wrapped, rest = _parts(sealed)
        return open_under_kek(self._unwrap(key_id, wrapped), rest, bound_to)

    def is_current(self, sealed: bytes) -> bool:
        """Whether it was sealed by what seals now."""
        return _parts(sealed)[0] == self.current.key_id

    def begin_rotation(self) -> None:
        """From here on another key seals; those before it still open. Safe twice."""
        first = self._sources[0]
        if isinstance(first, KeyFile):
            first.add(self._chance)
        self.reload()

    def end_rotation(self) -> None:
        """What sealed before opens nothing any more: only once nothing is sealed under it."""
        first = self._sources[0]
        if isinstance(first, KeyFile):
            first.keep_first()
        self.reload()

    def reload(self) -> None:
        """Another process may have begun a rotation."""
        keys = self._load()
        with self._lock:
            self._keys = keys

    def _load(self) -> list[KeyEncryptionKey]:
        found: list[KeyEncryptionKey] = []
        for source in self._sources:
            found += source.keys() if isinstance(source, KeyFile) else [source]
        return found

    def _unwrap(self, key_id: bytes, wrapped: bytes) -> bytes:
        for again in (False, True):
            if again:
                self.reload()
            with self._lock:
                known = [key for key in self._keys if key.key_id == key_id]
            if known:
                return known[0].unwrap(wrapped)
        return self._ask_programs(wrapped)

    def _ask_programs(self, wrapped: bytes) -> bytes:
        """One that is called otherwise than it was may still open what it has wrapped."""
        with self._lock:
            programs = [key for key in self._keys if isinstance(key, CommandKey)]
        for program in programs:
            try:
                return program.unwrap(wrapped)
            except WrongKey:
                continue
        raise WrongKey(
            "the key-encryption key of a key in the catalogue is not here",
            hint="put back the kek.key that belongs to this catalogue, or name it with --kek",
        )


def _parts(sealed: bytes) -> tuple[bytes, bytes, bytes]:
    """(key-encryption key's id, wrapped data key, the rest). Raises WrongKey."""
    try:
        version, key_id, length = _HEAD.unpack_from(sealed)
    except struct.error as error:
        raise WrongKey("a sealed key is cut off") from error
    end = _HEAD.size + length
    if version != _VERSION or len(sealed) <= end:
        raise WrongKey("a sealed key is not of this version")
    return key_id, sealed[_HEAD.size : end], sealed[end:]


def key_encryption(specs: Sequence[str], default: Path, chance: Chance) -> KeyEncryption:
    """From settings: each a file, or `command:PROGRAM ARGUMENTS`; none is the default file.

    A file that is named first, and is not there, is made. Raises Invalid and Precondition.
    """
    sources = [_source(spec) for spec in specs] or [KeyFile(default)]
    if isinstance(sources[0], KeyFile):
        sources[0].ensure(chance)
    return KeyEncryption(sources, chance)


def _source(spec: str) -> KeyFile | CommandKey:
    if not spec.startswith(COMMAND):
        return KeyFile(Path(spec))
    try:
        arguments = shlex.split(spec.removeprefix(COMMAND))
    except ValueError as error:
        raise Invalid(f"{spec[:80]!r} has an open quote", hint="close it") from error
    if not arguments or not Path(arguments[0]).is_absolute():
        raise Invalid(
            f"{spec[:80]!r} names no program by its whole path",
            hint="write it as command:/usr/local/bin/wrap-key",
        )
    return CommandKey(tuple(arguments))
