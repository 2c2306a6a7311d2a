from collections.abc import Iterator
from pathlib import Path

import pytest

from care_world import CareWorld, care_world


@pytest.fixture
def world(tmp_path: Path) -> Iterator[CareWorld]:
    with care_world(tmp_path) as found:
        yield found
