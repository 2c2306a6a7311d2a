"""pytest's plugin of the campaign: each test that has ended is a line of the journal."""

import os
from collections import defaultdict
from pathlib import Path

import pytest

from campaign.journal import VARIABLE, commit, write

_place = Path(os.environ[VARIABLE])
_commit = commit()
_told: dict[str, list[pytest.TestReport]] = defaultdict(list)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """After setup, call and teardown of each."""
    _told[report.nodeid].append(report)
    if report.when != "teardown":
        return
    parts = _told.pop(report.nodeid)
    outcomes = {part.outcome for part in parts}
    outcome = next((o for o in ("failed", "skipped") if o in outcomes), "passed")
    write(_place, report.nodeid, outcome, sum(part.duration for part in parts), _commit)
