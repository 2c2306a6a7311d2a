"""Records of the audit in people's words: who did what to what, from where."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from whenever import Instant

from strongroom.control.identities.people import names_of
from strongroom.control.oversight import audit
from strongroom.model.oversight.audit import Record
from strongroom.model.oversight.audit_filter import outcome_of
from strongroom.model.resources.guard import OPERATIONS
from strongroom.web.portal.door import Visit
from strongroom.web.portal.words import day, where

# What was done; {} is what it was done to, {name} a field of the record's detail.
_DEEDS = {
    "access/refuse": "was refused what no role of theirs allows, at {}",
    "agent/enrol": "enrolled as an agent",
    "agent/invite": "invited an agent",
    "alert/acknowledge": "saw to an alert",
    "approval/deny": "refused to {operation}, of {}",
    "approval/grant": "agreed to {operation}, of {}",
    "approval/refuse": "asked to {operation}, of {}, and was sent to a second person",
    "approval/use": "did what was agreed to: {operation}, of {}",
    "approval/withdraw": "took back a request about {}",
    "backup/trigger": "started a backup of {}",
    "backupInstance/delete": "deleted {}, to be had back",
    "budget/write": "set the budget",
    "catalogue/rebuild": "made the catalogue anew from storage",
    "drill/trigger": "started a drill of {}",
    "expiry/hold": "keeps points of {} beyond their time",
    "expiry/release": "lets points of {} expire again",
    "garbage/collect": "collected what no point of {} needs",
    "garbage/trigger": "started a clean-up of {}",
    "hold/release": "asked to let go of a hold of {}",
    "hold/released": "let go of a hold of {}",
    "hold/set": "holds {} beyond its time",
    "instance/protect": "began to protect {}",
    "instance/shred": "destroyed the keys of {}",
    "instance/sync": "compared {} with its storage",
    "instance/undelete": "had {} back",
    "instance/write": "set how {} is protected",
    "issuer/distrust": "trusts an issuer no more",
    "issuer/trust": "trusts an issuer",
    "job/cancel": "stopped a job of {}",
    "job/export": "exported the list of jobs",
    "job/fail": "failed at a job of {}",
    "key/alarm": "found a key that is not as it should be",
    "keyEncryptionKey/rotate": "changed the key-encryption key",
    "keyEncryptionKey/take": "took the key-encryption key into use",
    "keys/release": "opened the keys of {} for a restore",
    "keys/rotate": "gave {} new keys",
    "keys/take": "made the keys of {}",
    "longTermBackup/complete": "finished a long-term copy of {}",
    "longTermBackup/trigger": "started a long-term copy of {}",
    "policy/applyToPoints": "applied {} to the points that there are",
    "prices/write": "changed the price sheet",
    "principal/create": "let somebody sign in",
    "principal/remove": "lets somebody sign in no more",
    "principal/renew": "gave somebody another secret",
    "purge/upcoming": "warned that something deleted is soon gone for good",
    "receipt/quarantine": "set a receipt aside behind which no point stands",
    "recoveryKey/replace": "asked for another recovery key",
    "recoveryKey/take": "took a recovery key into use",
    "recoveryPoint/adopt": "found a point of {} in storage",
    "recoveryPoint/commit": "committed a point of {}",
    "recoveryPoint/damaged": "found a point of {} damaged",
    "recoveryPoint/delete": "deleted a point of {}, to be had back",
    "recoveryPoint/drill": "restored a point of {} in a drill, and compared",
    "recoveryPoint/drillFailed": "failed to restore a point of {} in a drill",
    "recoveryPoint/expire": "let a point of {} expire",
    "recoveryPoint/promote": "gave a point of {} a longer tag",
    "recoveryPoint/purge": "removed a point of {} for good",
    "recoveryPoint/retain": "kept a point of {} longer",
    "recoveryPoint/undelete": "had a point of {} back",
    "recoveryPoint/verify": "read a point of {} back",
    "restore/complete": "finished a restore of {}",
    "restore/trigger": "started a restore of {}",
    "role/assign": "gave a role at {}",
    "role/define": "wrote a role",
    "role/remove": "took a role away at {}",
    "role/undefine": "deleted a role",
    "server/create": "told of {}",
    "server/delete": "took {} away",
    "session/begin": "signed in",
    "session/end": "signed out",
    "vault/guard": "put {} under a guard",
    "vault/undelete": "had {} back",
    "vault/unguard": "took the guard from {}",
    "verify/trigger": "started a read-check of {}",
    "wal/expire": "let old log of {} go",
    "wal/gap": "found a gap in the log of {}",
}
_VERBS = {"create": "made", "change": "changed", "write": "wrote", "delete": "deleted"}
_VERBS |= {"purge": "removed for good", "stopProtection": "stopped the protection of"}
_VERBS |= {"suspendBackups": "paused the backups of", "resumeBackups": "resumed the backups of"}
_VERBS |= {"resumeProtection": "resumed the protection of"}
_OPERATIONS = {each.name: each.words for each in OPERATIONS}
_SERVICE = {"service": "strongroom", "schedule": "its schedule"}
_OWN = "strongroom itself"
_STEP = re.compile(r"(?<=[a-z])(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class Told:
    """A record: `who` did `deed` from `place`; the record itself is one step away."""

    record: Record
    who: str
    deed: str
    more: str
    place: str
    outcome: str


def told_of(visit: Visit, found: Sequence[Record]) -> list[Told]:
    """Those of a page; whose they are is looked up once."""
    names = names_of(visit.control, {record.actor for record in found}) | _SERVICE
    subjects = audit.subjects_of(visit.control, found)
    return [
        Told(
            record=each,
            who=names[each.actor],
            deed=deed_of(each, subjects),
            more=_more(each, visit.zone),
            place=each.address or _OWN,
            outcome=outcome_of(each.action),
        )
        for each in found
    ]


def deed_of(record: Record, subjects: Mapping[str, str]) -> str:
    """`started a backup of pg1-inst`; of an action that has no words here, its own."""
    subject = subjects.get(record.target) or _subject(record.target)
    words = _DEEDS.get(record.action)
    if words is None:
        noun, _, verb = record.action.partition("/")
        if verb in _VERBS:
            return f"{_VERBS[verb]} {subject}"
        return f"{_spaced(noun)}, {_spaced(verb)}: {subject}"
    asked = str(record.detail.get("operation", ""))
    operation = _OPERATIONS.get(asked, asked) or "do something that is guarded"
    return words.replace("{operation}", operation).replace("{}", subject)


def _subject(target: str) -> str:
    """A resource in words; of an id that nobody knows any more, its beginning."""
    if target.startswith("/"):
        return where(target)
    plain = target.replace("-", "")
    is_id = len(plain) == 32 and all(each in "0123456789abcdef" for each in plain)
    return f"something that is gone ({plain[:8]})" if is_id else target


def _more(record: Record, zone: str) -> str:
    """What of the detail people ask for first."""
    told = record.detail
    found = []
    for words, name in (("by rule", "rule"), ("into", "directory"), ("because", "why")):
        if isinstance(told.get(name), str) and told[name]:
            found.append(f"{words} {told[name]}")
    if isinstance(told.get("tag"), str) and record.action == "recoveryPoint/commit":
        found.append(str(told["tag"]))
        found.append(f"kept until {_day(str(told.get('expires', '')), zone)}")
    return ", ".join(found)


def _day(text: str, zone: str) -> str:
    try:
        return day(Instant.parse_iso(text), zone)
    except ValueError:
        return text


def _spaced(word: str) -> str:
    return _STEP.sub(" ", word).lower()
