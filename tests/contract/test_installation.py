"""A catalogue is one installation's: keys of another one would open nothing in it."""

import pytest

from strongroom.catalog.basis.database import Database
from strongroom.control.identities.identity import claim_catalogue
from strongroom.model.errors import Precondition


def test_the_first_installation_keeps_its_catalogue(database: Database) -> None:
    claim_catalogue(database, "first")
    claim_catalogue(database, "first")
    with pytest.raises(Precondition, match="belongs to installation first, and this directory"):
        claim_catalogue(database, "second")
