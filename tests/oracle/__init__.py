"""The oracle: ten invariants, asked of a world after every step of a test.

    I1   whole or absent       a receipt's manifest and packs are there; restored, it is the tree
    I2   truthful status       Completed is true now, Failed says why, an end is for ever
    I3   write-once            name -> digest is a function for all time; nothing named vanishes
    I4   retention floor       no point ends before its time plus its tag's duration
    I5   lock horizon          what a point names is locked until it ends; no lock shrinks
    I6   blind writer          no secret in arguments, environments, logs or rows
    I7   nothing unseen        what was altered is found by the keyless scrub and by the reader
    I8   safe twice            repeating a step leaves the same points, trees and statuses
    I9   accounted             listed = named + in flight + garbage; catalogue = storage's receipts
    I10  audited               the chain verifies; every change of state has a record with an actor

It reads storage, catalogue and audit through their own doors (doors.py, book.py) with the second
reader's eyes, and takes no rule from the product: what it computes, it computes itself. Only I7
asks the product, whose scrub and reader are then the accused.
"""

from collections.abc import Callable, Iterator
from typing import Literal

from oracle import accounts, bytes_of, hosts, locks, statements
from oracle.look import Look, Watched

__all__ = ["INVARIANTS", "Depth", "Violated", "Watched", "check"]

Depth = Literal["fast", "deep"]
Invariant = Callable[[Look], Iterator[str]]

INVARIANTS: dict[str, Invariant] = {
    "I1": bytes_of.whole_or_absent,
    "I2": statements.truthful_status,
    "I3": bytes_of.write_once,
    "I4": statements.retention_floor,
    "I5": locks.lock_horizon,
    "I6": hosts.blind_writer,
    "I7": bytes_of.nothing_unseen,
    "I8": bytes_of.safe_twice,
    "I9": accounts.accounted,
    "I10": accounts.audited,
}


class Violated(AssertionError):
    """What does not hold, each by the name of its invariant."""

    def __init__(self, findings: list[str]) -> None:
        super().__init__("\n".join(findings))
        self.names = {finding.partition(":")[0] for finding in findings}


def check(watched: Watched, depth: Depth = "fast") -> None:
    """Every invariant holds in this world now, or Violated. `fast` reads no pack."""
    look = watched.look(deep=depth == "deep")
    findings = [
        f"{name}: {finding}" for name, holds in INVARIANTS.items() for finding in holds(look)
    ]
    if findings:
        raise Violated(findings)
