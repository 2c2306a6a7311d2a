"""Run the campaign: what takes too long for every commit. Interrupted, it goes on where it was.

make campaign                            all of it
make campaign SEED=7 ONLY="kills years"  these pieces, from another seed
make campaign AGAIN=1                    what has passed already, too
"""

import argparse
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from types import FrameType

from campaign.journal import PASSED, VARIABLE, Ran, journal_of, read
from campaign.pieces import PIECES, ROOT, Piece, cases_of, environment, pytest_words
from campaign.table import row, write_page

_LOOK_SECONDS = 0.5


class _Work:
    """Cases of one file, in a process of its own; what it says goes into a log."""

    def __init__(self, piece: Piece, cases: Sequence[str], seed: int) -> None:
        self.log = journal_of(seed).parent / "logs" / f"{Path(_file(cases[0])).stem}.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        more = environment(piece, seed) | {VARIABLE: str(journal_of(seed)), "PYTHONPATH": "tests"}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                pytest_words("-p", "campaign.recording", *cases),
                cwd=ROOT,
                env=more,
                stdout=log,
                stderr=subprocess.STDOUT,
            )


def _file(case: str) -> str:
    return case.partition("::")[0]


class _Campaign:
    """Files of tests, so many at a time."""

    def __init__(self, seed: int, cases: Mapping[Piece, Sequence[str]], *, again: bool) -> None:
        self._seed = seed
        self._place = journal_of(seed)
        self._all = cases
        before = {} if again else read(self._place)
        done = {case for case, ran in before.items() if ran.outcome == PASSED}
        self._left = {p: [c for c in found if c not in done] for p, found in cases.items()}
        self._waiting = deque(
            (piece, list(group))
            for piece, found in self._left.items()
            for _, group in groupby(found, _file)
        )
        self._running: list[_Work] = []
        self._seen = read(self._place)
        self._told = 0
        self.lost: list[Path] = []  # logs of processes that ended without their tests

    def run(self, jobs: int) -> None:
        """Until all of it has ended."""
        total = sum(len(found) for found in self._left.values())
        passed = sum(len(found) for found in self._all.values()) - total
        print(f"{total} cases; {passed} have passed before", flush=True)
        while self._waiting or self._running:
            while self._waiting and len(self._running) < jobs:
                self._running.append(_Work(*self._waiting.popleft(), self._seed))
            time.sleep(_LOOK_SECONDS)
            ended = [work for work in self._running if work.process.poll() is not None]
            self._running = [work for work in self._running if work not in ended]
            self.lost += [work.log for work in ended if work.process.returncode not in {0, 1}]
            self._tell(total)

    def _tell(self, total: int) -> None:
        now = read(self._place)
        for case, ran in now.items():
            if self._seen.get(case) == ran:
                continue
            self._told += 1
            print(f"[{self._told}/{total}] {ran.outcome} {ran.seconds:6.1f} s  {case}", flush=True)
        self._seen = now

    def stop(self) -> None:
        """What runs is asked to end; its case is not written down and runs anew next time."""
        for work in self._running:
            work.process.send_signal(signal.SIGINT)
        for work in self._running:
            work.process.wait()


def _arguments(words: list[str]) -> argparse.Namespace:
    names = [piece.name for piece in PIECES]
    parser = argparse.ArgumentParser(prog="campaign", description=__doc__)
    parser.add_argument("--seed", type=int, default=18)
    parser.add_argument("--jobs", type=int, default=2, help="files of tests at a time")
    parser.add_argument("--again", action="store_true", help="what has passed already, too")
    parser.add_argument("--match", default="", help="cases whose names hold this")
    parser.add_argument("only", nargs="*", metavar="PIECE", help=f"of {' '.join(names)}")
    found = parser.parse_args(words)
    if unknown := set(found.only) - set(names):
        parser.error(f"there is no piece {' '.join(sorted(unknown))}; there are {' '.join(names)}")
    return found


def _interrupted(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise KeyboardInterrupt


def main(words: list[str]) -> int:
    """0: all that was asked for has passed. 130: interrupted."""
    asked = _arguments(words)
    signal.signal(signal.SIGTERM, _interrupted)
    pieces = [piece for piece in PIECES if not asked.only or piece.name in asked.only]
    print(f"campaign of seed {asked.seed}: {' '.join(piece.name for piece in pieces)}", flush=True)
    cases = cases_of(PIECES, asked.seed)
    chosen = {p: [c for c in cases[p] if asked.match in c] for p in pieces}
    campaign = _Campaign(asked.seed, chosen, again=asked.again)
    interrupted = False
    try:
        campaign.run(asked.jobs)
    except KeyboardInterrupt:
        campaign.stop()
        interrupted = True
    ran = read(journal_of(asked.seed))
    write_page(asked.seed, cases, ran)
    return _verdict(chosen, ran, campaign.lost, interrupted=interrupted)


def _verdict(
    chosen: Mapping[Piece, Sequence[str]],
    ran: Mapping[str, Ran],
    lost: list[Path],
    *,
    interrupted: bool,
) -> int:
    print("\n" + "".join(row(piece, chosen[piece], ran) for piece in chosen), end="")
    wrong = [c for found in chosen.values() for c in found if c in ran and _is_wrong(ran[c])]
    for case in wrong:
        print(f"{ran[case].outcome}: {case}")
    for log in lost:
        print(f"ended too early, see {log}")
    if interrupted:
        print("interrupted: the same command goes on")
        return 130
    return 1 if wrong or lost else 0


def _is_wrong(ran: Ran) -> bool:
    return ran.outcome != PASSED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
