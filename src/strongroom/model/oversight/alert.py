"""Alerts: one for each cause, in however many things it shows; it ends with its cause."""

import msgspec
from whenever import Instant

GRAVE, WARNING, NOTICE = "grave", "warning", "notice"
LOOKS = {GRAVE: "bad", WARNING: "risk", NOTICE: "wait"}
PURGE_HOURS = 72  # before it is told that something goes for good
RESTORE_HOURS = 24  # for which a failed restore is told


class Cause(msgspec.Struct, kw_only=True, frozen=True):
    """What is wrong now. `key` is the same for as long as it is the same cause.

    `subject`: the id of an instance or an agent; `path`: the portal's page about it.
    """

    key: str  # kind:what
    subject: str
    severity: str
    title: str
    words: str
    hint: str
    path: str = "/"


class Alert(msgspec.Struct, kw_only=True, frozen=True):
    """A cause with its history; `told_at`, `end_told_at`: when others were told of either."""

    id: str
    key: str
    subject: str
    severity: str
    title: str
    words: str
    hint: str
    path: str
    since: Instant
    ended_at: Instant | None
    acknowledged_at: Instant | None
    acknowledged_by: str | None
    told_at: Instant | None
    end_told_at: Instant | None
