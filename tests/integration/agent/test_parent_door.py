"""What the control plane tells an agent of a parent: of its own order's, and of no other."""

from collections.abc import Iterator
from typing import Any

import pytest

from arm_world import ArmWorld, arm_world
from integration.agent.test_agents_door import a_line, ask, enrol
from strongroom.catalog.work import agent_operations
from strongroom.control.work.agents import new_enrol_token
from strongroom.model.errors import Forbidden, LeaseLost, NotFound
from strongroom.model.work.operation import ParentRequest

PARENT = {"recoveryPointId": "7" * 32, "generation": "g"}


@pytest.fixture
def world() -> Iterator[ArmWorld]:
    with arm_world() as found:
        yield found


def asked(world: ArmWorld, parent: dict[str, str] | None, *, epoch: int, by: str = "mine"):
    """A backup is leased by the agent of `mine`; then `by` asks for its parent."""
    agent_id = enrol(world, new_enrol_token(world.control), "mine")
    enrol(world, new_enrol_token(world.control), "theirs")
    order: dict[str, Any] = {
        "server": "pg1",
        "jobId": "j",
        "recoveryPointId": "8" * 32,
        "instanceId": "9" * 32,
        "generation": "8" * 32,
        "deltaName": "",
        "catalogueKeyId": "",
        "cataloguePublicKey": "",
        "dataKeyId": "",
        "dataPublicKey": "",
        "parent": parent,
    }
    operation = {"id": "op-1", "job_id": "j", "workflow_id": None, "agent_id": agent_id}
    operation |= {"kind": "backup", "order": order, "created_at": world.clock.now()}
    with world.database.writing() as connection:
        agent_operations.offer(connection, operation)
    with a_line(world, "mine") as client:
        assert ask(client, "only") is not None
    with a_line(world, by) as client:
        return client.parent("op-1", ParentRequest(epoch=epoch), lambda _: None)


def test_the_parent_of_its_own_order_is_opened(world):
    with pytest.raises(NotFound, match="7" * 32):
        asked(world, PARENT, epoch=1)  # this control plane opens none, and says which


def test_an_order_without_a_parent_is_told_of_none(world):
    with pytest.raises(Forbidden, match="only an increment"):
        asked(world, None, epoch=1)


def test_a_lease_that_has_ended_is_told_nothing(world):
    with pytest.raises(LeaseLost):
        asked(world, PARENT, epoch=2)


def test_another_agent_is_told_nothing(world):
    with pytest.raises(LeaseLost, match="not yours"):
        asked(world, PARENT, epoch=1, by="theirs")
