"""Everything is accounted for: I9 bytes and rows, I10 the audit chain."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from blake3 import blake3

from oracle.book import Book, Row
from oracle.endings import gone
from oracle.look import Look, Receipt
from oracle.statements import GOOD, moment

_NAME = re.compile(
    r"FORMAT|k/[0-9a-f]{32}(\.[0-9a-f]{32})?\.key|g/(?P<generation>[0-9A-Za-z-]{1,64})/[0-9a-f-]{36}\.pack"
    r"|d/(?P<job>[0-9A-Za-z-]+)\.[0-9]+(/[0-9]+)?\.delta|p/(?P<point>[0-9a-f]{32})\.(manifest|receipt|[0-9a-f-]{36}\.drill)"
)

_SAID = ("sequence", "actor", "address", "action", "target", "detail", "before", "after")


def accounted(look: Look) -> Iterator[str]:
    """I9. Listed = named + in flight + garbage, remainder 0; catalogue = what storage vouches for.

    Garbage is what a known job left: a delta, packs and a manifest that no receipt names.
    """
    named = {
        (receipt.container, name)
        for receipt in look.receipts.values()
        for name in [*receipt.named(), f"p/{receipt.point}.receipt"]
    }
    known = None if look.book is None else {job.replace("-", "") for job in look.book.jobs()}
    for container, names in look.listed.items():
        if container.startswith(("audit-", "catalogue-")) or container == "exports":
            continue  # anchors of the audit chain, snapshots of the catalogue, files for people
        unknown = look.book is not None and container not in {
            row["id"] for row in look.book["instances"]
        }
        if unknown and names:  # of one that was purged nothing is left
            yield f"container {container} belongs to no instance"
        for name in names:
            if (container, name) in named | look.watched.altered:
                continue
            found = _NAME.fullmatch(name)
            if found is None:
                yield f"{name} has a name that nobody gives"
                continue
            owner = found["generation"] or found["job"] or found["point"]
            if owner and known is not None and owner.replace("-", "") not in known:
                yield f"{name} belongs to no job that is known"
    if look.book is not None:
        yield from _rebuilt(look, look.book)


def _rebuilt(look: Look, book: Book) -> Iterator[str]:
    """A catalogue made anew from storage would have the same points."""
    rows, under_way = book.points(), _under_way(book)
    for point, receipt in look.receipts.items():
        if point in rows:
            yield from _same(receipt, rows[point])
        elif point not in under_way:
            yield f"storage vouches for point {point}, which the catalogue does not list"


def _under_way(book: Book) -> set[str]:
    return {row["id"].replace("-", "") for row in book["jobs"] if row["status"] == "InProgress"}


def _same(receipt: Receipt, row: Row) -> Iterator[str]:
    told = {
        "instance_id": receipt.body["instance_id"],
        "tag": receipt.body["tag"],
        "taken_at": receipt.taken_at,
        "committed_at": datetime.fromisoformat(receipt.body["committed_at"]),
        "expires_at": receipt.expires_at,
        "manifest_size": receipt.body["manifest_size"],
        "manifest_blake3": receipt.named()[f"p/{receipt.point}.manifest"].digest,
    }
    for name, value in told.items():
        found = moment(row[name]) if name.endswith("_at") else row[name]
        if found != value:
            yield f"point {receipt.point}: {name} is {found} in the catalogue, {value} in storage"


def audited(look: Look) -> Iterator[str]:
    """I10. The chain holds from its first record on, and every change of state is in it.

    Until logs are shipped there is no interval to restore to, hence no gap to ask for.
    """
    if look.book is None:
        return
    yield from _chain(look.book)
    yield from _job_records(look.book)
    yield from _point_records(look.book, gone(look))
    yield from _resource_records(look.book)


def _chain(book: Book) -> Iterator[str]:
    previous = bytes(32)
    for expected, record in enumerate(sorted(book["audit"], key=lambda r: r["sequence"]), 1):
        told = {name: record[name] for name in _SAID}
        told["at"] = _iso(record["at"])
        text = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        digest = blake3(previous + text.encode()).digest()
        if record["sequence"] != expected or record["previous"] != previous:
            yield f"audit record {record['sequence']} does not follow the one before it"
        if record["digest"] != digest:
            yield f"audit record {record['sequence']} is not what was written"
        if not record["actor"]:
            yield f"audit record {record['sequence']} has no actor"
        previous = record["digest"]


def _iso(micros: int) -> str:
    text = moment(micros).strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0").rstrip(".")
    return f"{text}Z"


_TRIGGERS = {
    "Backup": "backup",
    "Restore": "restore",
    "Verify": "verify",
    "Drill": "drill",
    "CollectGarbage": "garbage",
    "LongTermBackup": "longTermBackup",
}


def _job_records(book: Book) -> Iterator[str]:
    begun = {
        kind: Counter(r["detail"]["job"] for r in book.records(f"{word}/trigger"))
        for kind, word in _TRIGGERS.items()
    }
    failed = Counter(record["target"] for record in book.records("job/fail"))
    cancelled = Counter(record["target"] for record in book.records("job/cancel"))
    ended = {
        kind: Counter(record["detail"]["job"] for record in book.records(action))
        for kind, action in (
            ("Restore", "restore/complete"),
            ("Verify", "recoveryPoint/verify"),
            ("LongTermBackup", "longTermBackup/complete"),
        )
    }
    drilled = [r["detail"] for r in book.records("recoveryPoint/drill")]
    ended["Drill"] = Counter(each["job"] for each in drilled if each["verdict"] == "Passed")
    for job in book["jobs"]:
        name, status = job["id"], job["status"]
        told = f"job {name}, {job['kind']}, {status}"
        if begun[job["kind"]][name] != 1:
            yield f"{told}: {begun[job['kind']][name]} records that it was asked for"
        if failed[name] != (status == "Failed"):
            yield f"{told}: {failed[name]} records that it failed"
        if cancelled[name] != (status == "Cancelled"):
            yield f"{told}: {cancelled[name]} records that it was cancelled"
        well = ended.get(job["kind"])
        if well is not None and well[name] != (status in GOOD):
            yield f"{told}: {well[name]} records that it ended well"


def _point_records(book: Book, ended: set[str]) -> Iterator[str]:
    committed = Counter(record["target"] for record in book.records("recoveryPoint/commit"))
    for point in book.points():
        if committed[point] != 1:
            yield f"point {point}: {committed[point]} records of its commit"
    for point in committed.keys() - book.points().keys() - ended:
        yield f"the audit knows the commit of point {point}, which is not listed"
    released = {r["detail"]["operation"] for r in book.records("keys/release")}
    for operation in book["agent_operations"]:
        done = (
            operation["kind"] in {"restore", "verify", "drill"}
            and operation["status"] == "completed"
        )
        if done and operation["id"] not in released:
            yield f"operation {operation['id']} has read, and no release of keys is recorded"


def _resource_records(book: Book) -> Iterator[str]:
    """(table, action, end of the target) of everything that somebody made."""
    targets = [(r["action"].partition("/")[0], r["target"].lower()) for r in book["audit"]]
    wanted = [("agent", row["id"]) for row in book["agents"]]
    wanted += [("resourceGroup", f"/{row['name']}") for row in book["resource_groups"]]
    wanted += [("vault", f"/backupvaults/{row['name']}") for row in book["vaults"]]
    wanted += [("policy", f"/backuppolicies/{row['name']}") for row in book["policies"]]
    wanted += [("instance", f"/backupinstances/{row['name']}") for row in book["instances"]]
    wanted += [("server", f"/flexibleservers/{row['name']}") for row in book["servers"]]
    wanted += [
        ("role", row["scope"])
        for row in book["role_assignments"]
        if row["created_by"] != "installation"
    ]
    for kind, end in wanted:
        if not any(k == kind and target.endswith(end.lower()) for k, target in targets):
            yield f"no record says who made {kind} {end}"
