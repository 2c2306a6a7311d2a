"""The agents' door of the real control plane: who gets in, and who is given work."""

import contextlib
import hashlib
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from whenever import Instant

from arm_world import GROUP, SUBSCRIPTION, VERSION, ArmWorld, arm_world, server_id
from seams import SystemChance
from strongroom.agent.control_client import ControlClient
from strongroom.catalog.work import agent_operations
from strongroom.catalog.work import agents as agent_rows
from strongroom.control.work.agents import new_enrol_token
from strongroom.model.errors import Invalid, LeaseLost, Unauthenticated
from strongroom.model.work.operation import (
    Completion,
    EnrolRequest,
    Failure,
    Lease,
    LeaseRequest,
    ServerFacts,
)


@pytest.fixture
def world() -> Iterator[ArmWorld]:
    with arm_world() as found:
        yield found


def a_line(world: ArmWorld, token: str = "") -> ControlClient:
    return ControlClient(world.url, ca_file=Path(world.ca), chance=SystemChance(), token=token)


def enrol(world: ArmWorld, one_time: str, token: str, name: str = "db1") -> str:
    digest = hashlib.sha256(token.encode()).digest()
    request = EnrolRequest(token=one_time, name=name, version="1", agent_token_sha256=digest)
    with a_line(world) as client:
        return client.enrol(request).agent_id


def agents_of(world: ArmWorld) -> list[Any]:
    with world.database.reading() as connection:
        return agent_rows.list_all(connection)


# -- enrolment


def test_the_same_agent_asking_twice_is_the_same_agent(world: ArmWorld) -> None:
    one_time = new_enrol_token(world.control)
    assert enrol(world, one_time, "mine") == enrol(world, one_time, "mine")
    assert len(agents_of(world)) == 1
    with a_line(world, "mine") as client:
        assert client.lease(LeaseRequest(servers=[], wait_seconds=0)) is None


def test_a_spent_token_is_worth_nothing_to_another_agent(world: ArmWorld) -> None:
    one_time = new_enrol_token(world.control)
    enrol(world, one_time, "mine")
    with pytest.raises(Unauthenticated):
        enrol(world, one_time, "theirs")
    assert len(agents_of(world)) == 1
    with pytest.raises(Unauthenticated), a_line(world, "theirs") as client:
        client.lease(LeaseRequest(servers=[], wait_seconds=0))


def test_the_same_agent_may_come_back_after_its_token_has_expired(world: ArmWorld) -> None:
    one_time = "spent within its time"
    with world.database.writing() as connection:
        digest = hashlib.sha256(one_time.encode()).hexdigest()
        long_ago = Instant.parse_iso("2026-01-01T00:00:00Z")
        agent_rows.add_enrol_token(connection, digest, long_ago.add(hours=1))
    with pytest.raises(Unauthenticated):
        enrol(world, one_time, "late")
    agent_id = world.agent("early")
    with world.database.writing() as connection:
        assert agent_rows.use_enrol_token(connection, digest, agent_id, long_ago)
        assert agent_rows.use_enrol_token(connection, digest, agent_id, world.clock.now())


def test_a_new_token_for_an_agent_that_is_known_is_spent_and_names_it_again(
    world: ArmWorld,
) -> None:
    first = enrol(world, new_enrol_token(world.control), "mine")
    second = new_enrol_token(world.control)
    assert enrol(world, second, "mine") == first
    with pytest.raises(Unauthenticated):
        enrol(world, second, "theirs")


def test_what_is_no_digest_is_refused(world: ArmWorld) -> None:
    one_time = new_enrol_token(world.control)
    request = EnrolRequest(token=one_time, name="x", version="1", agent_token_sha256=b"short")
    with pytest.raises(Invalid), a_line(world) as client:
        client.enrol(request)


# -- which agent looks after a server


def register(world: ArmWorld, name: str, **strongroom: str) -> httpx.Response:
    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"
    with world.http() as http:
        http.put(group, params=VERSION, json={"location": "local"})
        body = {"properties": {"strongroom": strongroom}}
        return http.put(server_id(name), params=VERSION, json=body)


def test_a_single_agent_is_taken_without_being_named(world: ArmWorld) -> None:
    only = world.agent("db1")
    answer = register(world, "pg1")
    assert answer.status_code == 201
    assert answer.json()["properties"]["strongroom"]["agent"] == only


def test_nobody_is_picked_among_several_agents(world: ArmWorld) -> None:
    ids = [world.agent("db1"), world.agent("db2")]
    answer = register(world, "pg1")
    assert answer.status_code == 400
    told = answer.text
    assert all(agent_id in told for agent_id in ids)
    assert "properties.strongroom.agent" in told
    assert register(world, "pg1", agent=ids[0]).status_code == 201
    assert register(world, "pg2", agent="db2").status_code == 201


def test_nobody_is_picked_among_agents_of_one_name(world: ArmWorld) -> None:
    for one_time, token in ((new_enrol_token(world.control), t) for t in ("a", "b")):
        enrol(world, one_time, token, name="agent")
    ids = [agent["id"] for agent in agents_of(world)]
    answer = register(world, "pg1", agent="agent")
    assert answer.status_code == 400
    assert all(agent_id in answer.text for agent_id in ids)
    assert register(world, "pg1", agent=ids[1]).status_code == 201


def test_a_registered_server_keeps_its_agent_when_others_come(world: ArmWorld) -> None:
    first = world.agent("db1")
    register(world, "pg1")
    world.agent("db2")
    answer = register(world, "pg1")
    assert answer.status_code == 200
    assert answer.json()["properties"]["strongroom"]["agent"] == first


# -- who is given work


def offer(world: ArmWorld, agent_id: str, name: str = "op-1") -> None:
    operation = {"id": name, "job_id": None, "workflow_id": None, "agent_id": agent_id}
    operation |= {"kind": "check", "order": {"server": "pg1"}, "created_at": world.clock.now()}
    with world.database.writing() as connection:
        agent_operations.offer(connection, operation)


def ask(client: ControlClient, session: str, seconds: float = 0.0, name: str = "") -> Lease | None:
    request = LeaseRequest(servers=[], wait_seconds=seconds, session=session, ask=name)
    return client.lease(request)


@contextlib.contextmanager
def an_open_call(world: ArmWorld, token: str, session: str, seconds: float) -> Iterator[Any]:
    """A call for work that the control plane has begun to answer."""
    with a_line(world, token) as client, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ask, client, session, seconds)
        await_that(lambda: agents_of(world)[0]["session"] == session)
        yield answer


def await_that(holds: Callable[[], object], seconds: float = 10.0) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_an_open_call_is_answered_as_soon_as_there_is_work(world: ArmWorld) -> None:
    agent_id = enrol(world, new_enrol_token(world.control), "mine")
    with an_open_call(world, "mine", "first", 20) as answer:
        offer(world, agent_id)
        assert answer.result(5).operation_id == "op-1"


def test_a_call_whose_caller_is_gone_ends_and_takes_no_work(world: ArmWorld) -> None:
    agent_id = enrol(world, new_enrol_token(world.control), "mine")
    body = msgspec.json.encode(LeaseRequest(servers=[], wait_seconds=30, session="only"))
    head = "POST /agents/lease HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer mine\r\n"
    context = ssl.create_default_context(cafile=world.ca)
    plain = socket.create_connection(("127.0.0.1", httpx.URL(world.url).port or 0))
    with context.wrap_socket(plain, server_hostname="localhost") as line:
        line.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        await_that(lambda: agents_of(world)[0]["session"] == "only")
        line.shutdown(socket.SHUT_RDWR)
    await_that(lambda: not world.answering())
    offer(world, agent_id)
    with a_line(world, "mine") as client:
        found = ask(client, "only")
    assert found is not None
    assert found.epoch == 1


def test_the_open_call_of_an_earlier_process_is_given_nothing(world: ArmWorld) -> None:
    agent_id = enrol(world, new_enrol_token(world.control), "mine")
    with an_open_call(world, "mine", "killed", 1.5) as unheard, a_line(world, "mine") as client:
        assert ask(client, "new") is None
        offer(world, agent_id)
        assert unheard.result(10) is None
        found = ask(client, "new")
    assert found is not None
    assert found.epoch == 1


def test_a_call_that_is_made_again_is_given_the_lease_whose_answer_was_lost(
    world: ArmWorld,
) -> None:
    agent_id = enrol(world, new_enrol_token(world.control), "mine")
    offer(world, agent_id)
    with a_line(world, "mine") as client:
        first = ask(client, "only", name="a")
        assert first is not None
        assert ask(client, "only", name="b") is None
        assert ask(client, "only", name="a") == first


def failing(epoch: int) -> Failure:
    return Failure(epoch=epoch, error={"code": "Failed", "message": "no"}, retryable=True)


def test_a_failure_told_twice_is_taken_twice_and_offers_the_work_once(world: ArmWorld) -> None:
    agent_id = enrol(world, new_enrol_token(world.control), "mine")
    offer(world, agent_id)
    with a_line(world, "mine") as client:
        assert ask(client, "only") is not None
        client.fail("op-1", failing(1))
        client.fail("op-1", failing(1))
        with pytest.raises(LeaseLost):
            client.complete("op-1", Completion(epoch=1, check=ServerFacts(name="pg1", ready=True)))
        second = ask(client, "only")
        assert second is not None
        assert second.epoch == 2
        with pytest.raises(LeaseLost):
            client.fail("op-1", failing(1))


def test_more_agents_may_wait_than_the_control_plane_has_threads(world: ArmWorld) -> None:
    enrol(world, new_enrol_token(world.control), "mine")
    with a_line(world, "mine") as client, ThreadPoolExecutor(50) as pool:
        waiting = [pool.submit(ask, client, "one", 30.0) for _ in range(50)]
        await_that(lambda: len(world.answering()) == 50)
        with world.http() as http:
            assert http.get("/subscriptions", params=VERSION).status_code == 200
        world.control.stopping.set()
        assert [call.result(10) for call in waiting] == [None] * 50
