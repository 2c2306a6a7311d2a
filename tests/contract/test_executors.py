"""One process runs under an executor's id, on both databases."""

import signal
import subprocess
import sys

import pytest

from strongroom.catalog.basis.database import Database
from strongroom.catalog.installation.executors import alone
from strongroom.model.errors import Conflict

HOLD = """
import sys
from strongroom.catalog.basis.database import Database
from strongroom.catalog.installation.executors import alone
with alone(Database(sys.argv[1]), "serve-1"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_of_one_id_is_refused_by_name(database: Database) -> None:
    with alone(database, "serve-1"):
        with pytest.raises(Conflict, match="serve-1") as caught, alone(database, "serve-1"):
            pass
        assert "--executor" in caught.value.hint
        with alone(database, "serve-2"):
            pass
    with alone(database, "serve-1"):
        pass


def test_a_killed_process_leaves_its_id_to_the_next(database: Database) -> None:
    command = [sys.executable, "-c", HOLD, database.url]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(Conflict), alone(database, "serve-1"):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait(10)
    with alone(database, "serve-1"):
        pass
