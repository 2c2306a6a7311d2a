"""The files of one restore as files: named, digested on their way, read again where they lie.

[prefix_]<name> for each of them, and beside them [prefix_]RESTORE.md, [prefix_]SHA256SUMS and,
last of all, [prefix_]manifest.json: who lacks it is not finished.
"""

import hashlib
from collections.abc import Callable, Iterable

import msgspec

from strongroom.agent.files.targets import Bytes, FileTarget, Sink
from strongroom.model.errors import ObjectExists, ObjectMissing, TargetError
from strongroom.model.restore.dump_names import GUIDE, MANIFEST, SUMS, whole_name
from strongroom.model.work.operation import RestoreResult

_LARGEST_MANIFEST = 16 << 20  # bytes of one that is read whole
Fill = Callable[[Sink], object]


class DumpFile(msgspec.Struct, kw_only=True, rename="camel"):
    """One file."""

    name: str
    size: int
    sha256: str
    holds: str = ""  # what it is, for people


class DumpManifest(msgspec.Struct, kw_only=True, rename="camel"):
    """What lies there, and where it comes from."""

    job: str
    recovery_point: str
    taken_at: str
    source_version: int
    files: list[DumpFile] = []
    result: RestoreResult | None = None  # what was reported, for who asks twice


class _Tally:
    """Size and digest of what goes through."""

    def __init__(self) -> None:
        self.size = 0
        self._digest = hashlib.sha256()

    def count(self, data: Bytes) -> None:
        self.size += len(data)
        self._digest.update(data)

    def told(self) -> tuple[int, str]:
        return self.size, self._digest.hexdigest()


class DumpFiles:
    """One job's. What an earlier attempt has finished is kept, after it was read again."""

    def __init__(self, target: FileTarget, manifest: DumpManifest, prefix: str) -> None:
        self.target = target
        self.manifest = manifest
        self._prefix = prefix

    def name(self, what: str) -> str:
        """The whole name of a file; what no path may hold is percent-encoded."""
        return whole_name(self._prefix, what)

    def finished(self) -> RestoreResult | None:
        """What this job reported when it had finished, if it had."""
        raw = bytearray()
        try:
            for piece in self.target.read(self.name(MANIFEST)):
                raw += piece
                if len(raw) > _LARGEST_MANIFEST:
                    return None
            told = msgspec.json.decode(bytes(raw), type=DumpManifest)
        except (ObjectMissing, msgspec.MsgspecError):
            return None
        return told.result if told.job == self.manifest.job else None

    def claim(self) -> None:
        """Before anything is fetched: what comes with every restore has no name yet."""
        self.target.claim()
        self.check_free([MANIFEST, SUMS, GUIDE])

    def check_free(self, whats: Iterable[str]) -> None:
        """Nobody else's file has one of these names. Raises TargetNotEmpty."""
        for what in whats:
            self.target.holds(self.name(what))

    def put(self, what: str, holds: str, fill: Fill) -> None:
        """A file that `fill` writes, and that is the same when it is read again."""
        name = self.name(what)
        written = None if self.target.holds(name) else self._written(name, fill)
        found = self._reread(name)
        if written not in {None, found}:
            raise TargetError(
                f"{name} is not what was written to {self.target.place}",
                hint="Look into the store that it lies in, and restore to another place.",
            )
        self.manifest.files.append(
            DumpFile(name=name, size=found[0], sha256=found[1], holds=holds)
        )

    def _written(self, name: str, fill: Fill) -> tuple[int, str] | None:
        """Size and digest; None when an attempt that was given up finished it meanwhile."""
        tally = _Tally()
        try:
            with self.target.create(name) as sink:

                def through(data: Bytes) -> None:
                    sink(data)
                    tally.count(data)

                fill(through)
        except ObjectExists:
            if not self.target.holds(name):
                raise
            return None
        return tally.told()

    def _reread(self, name: str) -> tuple[int, str]:
        tally = _Tally()
        for piece in self.target.read(name):
            tally.count(piece)
        return tally.told()

    def write(self, what: str, text: str, holds: str) -> None:
        """A file of our own words."""
        self.put(what, holds, lambda sink: sink(text.encode(errors="surrogateescape")))

    def finish(self, result: RestoreResult) -> RestoreResult:
        """Digests, and last of all the manifest."""
        files = list(self.manifest.files)
        sums = "".join(f"{file.sha256}  {file.name}\n" for file in files)
        self.write(SUMS, sums, "SHA-256 of each file")
        self.manifest.files = files
        self.manifest.result = msgspec.structs.replace(
            result, files=len(files), written_bytes=sum(file.size for file in files)
        )
        raw = msgspec.json.format(msgspec.json.encode(self.manifest)) + b"\n"
        self.write(MANIFEST, raw.decode(), "this manifest")
        self.target.settle()
        return self.manifest.result
