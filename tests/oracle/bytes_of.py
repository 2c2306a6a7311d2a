"""What must hold of the bytes: I1 whole or absent, I3 write-once, I7 nothing unseen, I8 twice."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import google_crc32c
from cryptography.exceptions import InvalidTag

import second_reader
from oracle.doors import laid_out
from oracle.endings import gone
from oracle.look import Form, Look, Receipt

_CUT_OFF = 8  # characters of a digest, in messages


def _spoiled(look: Look, receipt: Receipt) -> bool:
    names = {*receipt.named(), f"p/{receipt.point}.receipt"}
    return any((receipt.container, name) in look.watched.altered for name in names)


def whole_or_absent(look: Look) -> Iterator[str]:
    """I1. What has a valid receipt is all there; a deep look restores it."""
    over = gone(look)
    sound = [
        receipt
        for receipt in look.receipts.values()
        if receipt.point not in over and not _spoiled(look, receipt)
    ]
    for receipt in sound:
        for name in sorted(look.damage(receipt)):
            yield f"point {receipt.point} is not whole: {name}"
    if look.deep:
        newest = sorted(sound, key=lambda receipt: receipt.taken_at, reverse=True)
        for receipt in newest[: look.watched.most_restores]:
            yield from _restores(look, receipt)


def _restores(look: Look, receipt: Receipt) -> Iterator[str]:
    with laid_out(look.doors[receipt.container]) as container, TemporaryDirectory() as home:
        target = Path(home, "restored")
        try:
            manifest = second_reader.restore(container, look.recovery, receipt.point, target)
        except (second_reader.Unreadable, InvalidTag, OSError, ValueError) as error:
            yield f"point {receipt.point} does not restore: {error!r}"
            return
        found = {
            path.relative_to(target).as_posix(): path
            for path in target.rglob("*")
            if path.is_file()
        }
        recorded = look.watched.trees.get(receipt.point)
        if recorded is not None:
            yield from _as_recorded(receipt, found, recorded)
        else:
            yield from _as_postgres_said(receipt, found, manifest["pg_manifest"])
        look.memory.whole[receipt.point] = _tree_digest(found)


def _as_recorded(
    receipt: Receipt, found: Mapping[str, Path], recorded: Mapping[str, bytes]
) -> Iterator[str]:
    for path in sorted(found.keys() ^ recorded.keys()):
        yield f"point {receipt.point}: {path} is there once, in the backup or in the restore"
    for path in sorted(found.keys() & recorded.keys()):
        if found[path].read_bytes() != recorded[path]:
            yield f"point {receipt.point}: {path} is not what was backed up"


def _as_postgres_said(
    receipt: Receipt, found: Mapping[str, Path], pg_manifest: bytes
) -> Iterator[str]:
    files = json.loads(pg_manifest)["Files"]
    if not files:
        yield f"point {receipt.point} has no file in PostgreSQL's manifest"
    for told in files:
        path = told.get("Path") or bytes.fromhex(told["Encoded-Path"]).decode()
        data = found[path].read_bytes() if path in found else None
        if data is None or len(data) != told["Size"]:
            yield f"point {receipt.point}: {path} is missing or has another length"
        elif told.get("Checksum-Algorithm") == "CRC32C":
            summed = google_crc32c.value(data).to_bytes(4, "little").hex()
            if summed != told["Checksum"].lower():
                yield f"point {receipt.point}: {path} has another checksum"


def _tree_digest(found: Mapping[str, Path]) -> str:
    total = hashlib.sha256()
    for path in sorted(found):
        total.update(f"{path}\0{hashlib.sha256(found[path].read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def write_once(look: Look) -> Iterator[str]:
    """I3. A digest that was seen once stays; what a receipt names never vanishes."""
    altered, known = look.watched.altered, look.memory.digests
    for container, names in look.listed.items():
        for name, entry in names.items():
            if (container, name) in altered:
                continue
            before = known.setdefault((container, name), entry.digest)
            if before != entry.digest:
                yield f"{name} was {before.hex()[:_CUT_OFF]} and is another now"
            if look.deep and look._reread(container, name) != entry:
                yield f"{name}: its bytes are not those that storage lists"
    listed = {(container, name) for container, names in look.listed.items() for name in names}
    ended = gone(look)
    for (container, name), receipt in look.memory.receipts.items():
        if receipt.point in ended:
            continue
        for each in {name, *receipt.named()}:
            if (container, each) not in listed | altered:
                yield f"{each} has vanished"


def nothing_unseen(look: Look) -> Iterator[str]:
    """I7. The product's scrub names exactly what is damaged, and its reader refuses that point."""
    if not look.deep:
        return
    for receipt in look.receipts.values():
        damage = look.damage(receipt)
        door = look.doors[receipt.container]
        told = look.watched.scrub(door, receipt.point)
        if told != damage:
            yield f"scrub of {receipt.point} says {sorted(told)}, damaged is {sorted(damage)}"
        if damage and look.watched.reader(door, receipt.point):
            yield f"the reader reads {receipt.point} although {sorted(damage)} is damaged"
        spared = not any(container == receipt.container for container, _ in look.watched.altered)
        if not damage and spared and not look.watched.reader(door, receipt.point):
            yield f"the reader refuses {receipt.point}, which is whole"
    for container, name in look.watched.altered:
        if name.endswith(".receipt") and Path(name).stem in look.receipts:
            yield f"the altered receipt {name} of {container} still holds"


def form_of(look: Look) -> Form:
    """What a repeated step must not change. Of a deep look that found nothing wrong."""
    jobs = {} if look.book is None else {row["id"]: row["status"] for row in look.book["jobs"]}
    whole = {point: look.memory.whole[point] for point in look.receipts}
    return Form(points=whole, jobs=jobs)


def safe_twice(look: Look) -> Iterator[str]:
    """I8. After a step was repeated the world has the form that it had before."""
    if look.watched.expected is None or not look.deep:
        return
    if any(point not in look.memory.whole for point in look.receipts):
        return  # I1 has said why
    now, before = form_of(look), look.watched.expected
    if now.points != before.points:
        yield f"points or their trees have changed: {sorted(before.points)} {sorted(now.points)}"
    if now.jobs != before.jobs:
        yield "jobs or their statuses have changed"
