"""The project as files, for tests that read it."""

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]


@cache
def project_files() -> tuple[Path, ...]:
    """Every file of the project: what git tracks, or all but what it would ignore."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found = (ROOT / line for line in done.stdout.splitlines())
    return tuple(path for path in found if path.is_file())


def source_files() -> list[Path]:
    """Ours; the steps that Alembic generated are not read as prose."""
    found = (ROOT / "src").rglob("*.py")
    return sorted(path for path in found if path.parent.name != "versions")
