"""What the campaign is made of: pieces of many cases, a case being one test."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from os import environ
from pathlib import Path
from tempfile import gettempdir

ROOT = Path(__file__).parents[2]
HERE = "tests/campaign"


@dataclass(frozen=True, slots=True)
class Piece:
    """`where`: a file or directory of tests. `looks_for`, `size`: for people."""

    name: str
    where: str
    looks_for: str
    size: str
    every_major: bool = False


def _drawn(name: str, looks_for: str, size: str) -> Piece:
    return Piece(name, f"{HERE}/campaign_{name}.py", looks_for, size)


def _majors(name: str) -> Piece:
    where = f"tests/integration/{name}"
    return Piece(f"majors-{name}", where, f"`{where}` on 14 to 18", "", every_major=True)


PIECES = (
    _drawn(
        "array",
        "every pair of levels of the engine's factors: each row comes back as it was (V1, P8)",
        "21 rows",
    ),
    _drawn(
        "chains",
        "long chains of increments over changes drawn by chance; from 17 on the same trees as "
        "`pg_combinebackup` (P5, P6)",
        "16 points on each of five majors",
    ),
    _drawn(
        "differential",
        "an increment by page versions is what a full read of the same moment finds (P5)",
        "five majors",
    ),
    _drawn(
        "torn_pages",
        "no row is lost however pages are torn as they are read (P6)",
        "12 points, 200 torn pages and more, on 14, 15 and 16",
    ),
    _drawn(
        "standby", "a standby at rest, and one that was promoted (P6)", "five majors, in two ways"
    ),
    _drawn("segments", "a relation of two segments comes back (V1)", "four servers"),
    _drawn("places", "`pg_wal` and tablespaces where few put them (V1)", "nine servers"),
    _drawn(
        "drills",
        "healthy points pass a drill, spoiled ones never (P9)",
        "25 spoiled, 20 healthy",
    ),
    _drawn(
        "houses",
        "a whole house on each kind of catalogue, before each major, with each kind of "
        "backup (V1)",
        "10 rows",
    ),
    _drawn(
        "kills", "processes killed at moments drawn by chance (K1)", "20 houses, 10 kills each"
    ),
    _drawn("locks", "locks that cannot be extended for up to thirty nights (L1)", "30 cases"),
    _drawn(
        "keeping",
        "a machine of backups, ends, holds, locks, deletions, purges, collections and a second "
        "copy: what must be kept is whole and locked after every step (X1)",
        "8 pieces of 1,250 steps and more",
    ),
    _drawn(
        "years",
        "schedules, tags, previews, promises and edits of policies against the oracle, and ten "
        "years day by day (C2, G1, G2, G3)",
        "100,000 schedules, 2,000 policies and edits each, 6 worlds of 3,653 days",
    ),
    _drawn("usage", "the forecast of usage against a time lapse of its whole length", "ten years"),
    _drawn(
        "any_second",
        "a restore to a moment holds what had been committed by then, over a failover (P1, P3)",
        "40 moments on each of five majors",
    ),
    _drawn(
        "targets",
        "targets at a commit's record, beside it, at a segment's edge and at the log's end, with "
        "it and just before it, by time, position, transaction and name (P1)",
        "22 restores on 15 and 18",
    ),
    _drawn(
        "around",
        "a primary that is rewound and leads again, an upgrade, a copy that runs beside its "
        "original",
        "15 and 17, and from 16 to 17",
    ),
    _majors("engine"),
    _majors("postgres"),
    _majors("agent"),
)


def environment(piece: Piece, seed: int) -> dict[str, str]:
    """What its tests are run with; they write on the disk, where `make test` writes in memory."""
    more = {"SEED": str(seed), "TMPDIR": gettempdir()} | (
        {"STRONGROOM_ALL_MAJORS": "1"} if piece.every_major else {}
    )
    return {**environ, **more}


def pytest_words(*more: str) -> list[str]:
    """The command that runs tests of ours."""
    names = "python_files=campaign_*.py test_*.py"
    return [sys.executable, "-m", "pytest", "-o", names, "-p", "no:cacheprovider", *more]


def cases_of(pieces: Sequence[Piece], seed: int) -> dict[Piece, list[str]]:
    """The tests of each by name, in their order; SystemExit when they cannot be collected."""
    found = {}
    for together in _alike(pieces):
        told = subprocess.run(
            pytest_words("--collect-only", *(piece.where for piece in together)),
            cwd=ROOT,
            env=environment(together[0], seed),
            capture_output=True,
            text=True,
            check=False,
        )
        names = [line for line in told.stdout.splitlines() if "::" in line]
        for piece in together:
            found[piece] = [name for name in names if name.startswith(piece.where)]
            if told.returncode or not found[piece]:
                raise SystemExit(f"{piece.where} cannot be collected:\n{told.stdout}{told.stderr}")
    return {piece: found[piece] for piece in pieces}


def _alike(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """Those that are collected in one go."""
    both = ([p for p in pieces if p.every_major is every] for every in (False, True))
    return [each for each in both if each]
