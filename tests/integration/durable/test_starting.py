"""Who starts when many are due: spread out, within limits, one after the other, nobody lost."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from whenever import Instant

from catalogue_world import POLICY
from contract.test_catalog_nouns import a_server
from integration.durable.sweep_world import SweepWorld
from strongroom.catalog.protection import instances, schedules
from strongroom.catalog.resources import policies
from strongroom.catalog.tables import tables
from strongroom.catalog.work import agent_operations, jobs
from strongroom.control.protection import scheduling
from strongroom.model.errors import SourceUnreachable
from strongroom.model.protection.policy import parse_policy
from strongroom.model.work.job import JobStatus
from strongroom.workflows.basis import agent_work

NOON = Instant.parse_iso("2030-01-15T12:00:00Z")
POLICY_ID = "id-of-Daily"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SweepWorld]:
    found = SweepWorld(f"sqlite:///{tmp_path_factory.mktemp('starting')}/jobs.sqlite")
    found.tell = found.hold
    yield found
    found.close()


@pytest.fixture
def world(shared: SweepWorld) -> SweepWorld:
    """At noon, nothing under way, one instance and nothing due."""
    shared.clock.set(NOON.format_iso())
    with shared.database.writing() as connection:
        for table in (tables.jobs, tables.schedules):
            connection.execute(table.delete())
        others = tables.instances.c.id != shared.instance
        connection.execute(tables.instances.delete().where(others))
        connection.execute(tables.servers.delete().where(tables.servers.c.name != "PG-1"))
    return shared


def a_crowd(world: SweepWorld, count: int) -> list[str]:
    """So many instances of one agent, each due since another minute before noon."""
    with world.database.writing() as connection:
        first = connection.execute(tables.instances.select()).mappings().one()
        names = [world.instance]
        for number in range(2, count + 1):
            server, name = a_server(connection, f"PG-{number}"), f"instance-{number}"
            row: dict[str, Any] = {**first, "id": name, "server_id": server}
            instances.add(connection, {**row, "name": name, "name_key": name})
            names.append(name)
    due(world, *names)
    return names


def due(world: SweepWorld, *names: str, rules: tuple[str, ...] = ("rule",)) -> None:
    with world.database.writing() as connection:
        for number, name in enumerate(names, 1):
            at = NOON.subtract(minutes=len(names) - number)
            schedules.replace(connection, name, [(rule, 0, at) for rule in rules])


def say(world: SweepWorld, text: str, limits: dict[str, int] | None = None) -> None:
    with world.database.writing() as connection:
        policies.change(connection, POLICY_ID, text, world.clock.now(), "me")
        connection.execute(tables.vaults.update().values(properties={"strongroom": limits or {}}))


def begin(world: SweepWorld) -> list[str]:
    """One look of the scheduler: the instances whose backups have begun, and their rules."""
    due = scheduling.list_due(world.control)
    return [row["instance_id"] for row in due if scheduling.fire(world.control, row)]


def end(world: SweepWorld, instance: str) -> None:
    with world.database.writing() as connection:
        for job in jobs.list_running(connection):
            if jobs.get(connection, job).instance_id == instance:
                jobs.end(connection, job, JobStatus.COMPLETED, world.clock.now())


def at_once(text: str) -> str:
    """The policy, its starts not spread."""
    return text.replace('{"policyRules"', '{"strongroom": {"startWithin": 0}, "policyRules"', 1)


ONE = at_once(POLICY.replace("RULE", "rule"))


@pytest.mark.parametrize("limit", ["backupsPerAgent", "backupsPerVault"])
def test_no_more_begin_than_may_and_the_rest_follows_oldest_first(
    world: SweepWorld, limit: str
) -> None:
    first, second, third = a_crowd(world, 3)
    say(world, ONE, {limit: 2})
    assert begin(world) == [first, second]
    assert begin(world) == []
    end(world, second)
    assert begin(world) == [third]
    assert scheduling.list_due(world.control) == []


def test_a_crowd_that_is_due_at_once_begins_bit_by_bit_and_in_the_same_order_each_day(
    world: SweepWorld,
) -> None:
    names = a_crowd(world, 3)
    say(world, ONE.replace('"startWithin": 0', '"startWithin": 60'))
    orders = []
    for day in range(2):
        noon, order = NOON.add(hours=24 * day), []
        with world.database.writing() as connection:
            for name in names:
                schedules.replace(connection, name, [("rule", 0, noon)])
        for minute in range(61):
            world.clock.set(noon.add(minutes=minute).format_iso())
            for name in begin(world):
                order.append((minute, name))
                end(world, name)
        orders.append(order)
    assert orders[0] == orders[1]
    assert sorted(name for _, name in orders[0]) == sorted(names)
    assert len({minute for minute, _ in orders[0]}) == 3


def two_rules() -> str:
    body = ONE.replace('"policyRules": [', '"policyRules": [RULE,', 1)
    rule = ONE[
        ONE.index('{"objectType": "AzureBackupRule"') : ONE.index('{"objectType": "AzureRe')
    ]
    return body.replace("RULE,", rule.replace('"rule"', '"other"'))


def test_of_two_rules_that_are_due_one_waits_for_the_other(world: SweepWorld) -> None:
    say(world, two_rules())
    assert len(parse_policy(two_rules()).backup_rules) == 2
    due(world, world.instance, rules=("rule", "other"))
    assert begin(world) == [world.instance]
    assert begin(world) == []
    end(world, world.instance)
    assert begin(world) == [world.instance]
    end(world, world.instance)
    assert begin(world) == []


def test_a_backup_that_outlasts_its_period_leaves_out_the_next_of_its_rule(
    world: SweepWorld,
) -> None:
    say(world, ONE)
    due(world, world.instance)
    assert begin(world) == [world.instance]
    world.clock.advance(86_400)
    assert begin(world) == []
    end(world, world.instance)
    assert begin(world) == []
    world.clock.advance(86_400)
    assert begin(world) == [world.instance]


def test_the_last_of_a_counted_number_is_begun_too(world: SweepWorld) -> None:
    say(world, ONE.replace("R/2024-01-01T12:00", "R1/2030-01-15T12:00"))
    due(world, world.instance)
    for expected in ([world.instance], [world.instance], []):
        assert begin(world) == expected
        end(world, world.instance)
        world.clock.advance(86_400)


def test_a_policy_that_is_edited_loses_no_backup_that_is_due_and_waits(
    world: SweepWorld,
) -> None:
    first, second = a_crowd(world, 2)
    say(world, ONE, {"backupsPerAgent": 1})
    assert begin(world) == [first]
    with world.database.writing() as connection:
        for name in (first, second):
            scheduling.plan_instance(world.control, connection, name, parse_policy(ONE))
    end(world, first)
    assert begin(world) == [second]


class Looking:
    """A story that looks at its operation once."""

    def step(self, name: str, work: Any, *told: Any) -> Any:
        del name
        return work(*told)

    def wait(self, topic: str, seconds: float) -> None:
        del topic, seconds
        raise Waits


class Waits(Exception):
    """It would look again later."""


def look(world: SweepWorld, operation: str) -> None:
    agent_work.run_on_agent(SimpleNamespace(control=world.control), Looking(), operation)


def test_what_waits_behind_an_agent_at_work_is_not_given_up_and_behind_a_silent_one_is(
    world: SweepWorld,
) -> None:
    with world.database.writing() as connection:
        connection.execute(tables.agent_operations.delete())
        for name in ("first", "second"):
            told = {"id": name, "agent_id": "agent-id", "kind": "look", "order": {}}
            agent_operations.offer(connection, {**told, "created_at": world.clock.now()})
        until = world.clock.now().add(seconds=7000)
        agent_operations.lease(connection, "agent-id", "s", world.clock.now(), until)
    world.clock.advance(7200)
    with pytest.raises(Waits):
        look(world, "second")
    world.clock.advance(900)
    with pytest.raises(SourceUnreachable):
        look(world, "second")
