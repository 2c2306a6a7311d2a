"""`make demo` as a pipeline runs it: no terminal, and nothing left."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from house.tree import ROOT

pytestmark = [pytest.mark.postgres, pytest.mark.journey]


def test_the_demo_tells_its_story_and_leaves_nothing_without_a_terminal() -> None:
    directory = Path(tempfile.mkdtemp(prefix="sr-demo-"))
    directory.chmod(0o755)
    home = directory / "demo"
    environment = {**os.environ, "STRONGROOM_DEMO_DIR": str(home), "STRONGROOM_DEMO_ROWS": "5000"}
    try:
        done = subprocess.run(
            [sys.executable, str(ROOT / "demo" / "demo.py")],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        told = " ".join(done.stdout.split())
        assert "add an object 201 done read it 403 refused" in told
        assert "add another object 201 done the agent goes on" in told
        assert "DIFFERENT" not in told
        assert told.endswith("the demo is stopped and removed")
        assert not home.exists()
    finally:
        shutil.rmtree(directory)
