from collections.abc import Iterator

import pytest

from arm_story import Story
from arm_world import ArmWorld, arm_world


@pytest.fixture(scope="module")
def world() -> Iterator[ArmWorld]:
    with arm_world() as found:
        yield found


@pytest.fixture(scope="module")
def story(world: ArmWorld) -> Iterator[Story]:
    with world.http() as http:
        yield Story(world, http)
