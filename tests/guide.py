"""Follow a RESTORE.md as somebody would who reads it: every block of commands, to the letter."""

import subprocess
from pathlib import Path

from integration.servers import Server


def follow(guide: Path, server: Server, blocks: int = 3, database: str = "postgres") -> None:
    """In the directory that it lies in, against a server."""
    found = guide.read_text().split("```")[1::2]
    assert len(found) == blocks
    for block in found:
        done = subprocess.run(
            ["/bin/sh", "-ec", block],
            cwd=guide.parent,
            env={
                "PATH": f"{server.tools.directory}:/usr/bin:/bin",
                "PGHOST": str(server.home),
                "PGPORT": str(server.port),
                "PGUSER": "postgres",
                "PGDATABASE": database,
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (block, done.stderr)
