"""What ran: a line a case, written as it ends, so that whoever is interrupted goes on."""

import subprocess
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from json import dumps, loads
from pathlib import Path

from campaign.pieces import ROOT

PASSED = "passed"
VARIABLE = "CAMPAIGN_JOURNAL"  # names the file to whoever runs tests


@dataclass(frozen=True, slots=True)
class Ran:
    """One case. `outcome`: passed | failed | skipped. `commit`: what was checked out."""

    case: str
    outcome: str
    seconds: float
    commit: str
    at: str


def journal_of(seed: int) -> Path:
    """Where a seed's lines are."""
    return ROOT / ".cache" / "campaign" / f"seed-{seed}.jsonl"


def commit() -> str:
    """What is checked out, in short."""
    words = ["git", "rev-parse", "--short", "HEAD"]
    told = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    return told.stdout.strip() or "unknown"


def write(path: Path, case: str, outcome: str, seconds: float, at_commit: str) -> None:
    """One line more; a single write, for several processes do."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    line = dumps(asdict(Ran(case, outcome, round(seconds, 1), at_commit, now)))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(f"{line}\n")


def read(path: Path) -> dict[str, Ran]:
    """Case -> how it ran last, in that order; a line that was cut off is left out."""
    if not path.exists():
        return {}
    whole = path.read_text().rpartition("\n")[0]
    found: dict[str, Ran] = {}
    for line in whole.splitlines():
        ran = Ran(**loads(line))
        found.pop(ran.case, None)
        found[ran.case] = ran
    return found
