from collections.abc import Iterator

import pytest

from arm_world import ArmWorld, arm_world


@pytest.fixture(scope="module")
def world() -> Iterator[ArmWorld]:
    with arm_world() as found:
        yield found
