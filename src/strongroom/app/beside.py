"""What is done beside `serve`, by whoever may read its keys: no token is asked for."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from strongroom.app.seams import SystemChance, SystemClock
from strongroom.catalog.basis.database import Database
from strongroom.config import ServeFiles
from strongroom.control.identities import users
from strongroom.control.work.agents import invite_agent
from strongroom.datastore.statements.receipt import SigningKey
from strongroom.workflows.basis.kek import key_encryption
from strongroom.workflows.basis.sealed_files import SealedFiles

KEK = "STRONGROOM_KEK"


@contextmanager
def _catalogue_of(data: Path, catalogue: str) -> Iterator[Database]:
    """Of the control plane in `data`, its audit signed as the control plane signs it."""
    files, chance = ServeFiles(data), SystemChance()
    named = list(filter(None, os.environ.get(KEK, "").split(";")))
    kek = key_encryption(named, files.directory / "kek.key", chance)
    database = Database(catalogue or f"sqlite:///{files.catalogue}")
    signing = SealedFiles(files.directory, kek).signing_key(chance)
    database.sign = SigningKey(signing).sign_record
    try:
        yield database
    finally:
        database.close()


def new_enrol_token(data: Path, catalogue: str) -> str:
    """For one more agent."""
    with _catalogue_of(data, catalogue) as database:
        return invite_agent(database, SystemClock(), SystemChance())


def reset_password(data: Path, catalogue: str, name: str) -> str:
    """Another password for somebody who signs in with one; it is told this once."""
    with _catalogue_of(data, catalogue) as database:
        return users.reset_password(database, name, SystemClock(), SystemChance())
