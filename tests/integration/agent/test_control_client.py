import ssl
import threading
from collections.abc import Iterator

import msgspec
import pytest

from agent_world import AGENT_TOKEN, AgentWorld, Fault, an_agent_world
from authority import Authority
from seams import SeededChance
from strongroom.agent.control_client import ControlClient
from strongroom.model.errors import (
    ControlUnavailable,
    Corrupt,
    Forbidden,
    Invalid,
    LeaseLost,
    NotFound,
    Unauthenticated,
)
from strongroom.model.work.operation import (
    CheckOrder,
    EnrolRequest,
    Heartbeat,
    KeysRequest,
    LeaseRequest,
    Progress,
)


@pytest.fixture
def world() -> Iterator[AgentWorld]:
    with an_agent_world() as world:
        yield world


def a_client(url, *, token=AGENT_TOKEN, ca_file=None) -> ControlClient:
    return ControlClient(url, ca_file=ca_file, chance=SeededChance(1), token=token)


@pytest.fixture
def client(world) -> Iterator[ControlClient]:
    with a_client(world.url) as client:
        yield client


HEARTBEAT = Heartbeat(epoch=1, progress=Progress(step="Reading"))
ASK = LeaseRequest(servers=[], wait_seconds=0.0)


def test_no_work_is_none(client):
    assert client.lease(ASK) is None


def test_a_lease_carries_the_order(client, world):
    world.offer(CheckOrder(server="orders"))
    assert client.lease(ASK).check == CheckOrder(server="orders")


def test_an_ended_epoch_is_a_lost_lease(client, world):
    operation = world.offer(CheckOrder(server="orders"))
    client.lease(ASK)
    world.offer_again(operation)
    with pytest.raises(LeaseLost):
        client.heartbeat(operation.id, HEARTBEAT)


def test_a_lost_lease_is_understood_within_an_arm_envelope(client, world):
    body = b'{"error": {"code": "LeaseLost", "message": "the lease has ended"}}'
    world.fault("heartbeat", Fault(status=409, body=body))
    with pytest.raises(LeaseLost, match="the lease has ended"):
        client.heartbeat("op-1", HEARTBEAT)


def test_what_stands_beside_the_arm_envelope_is_told_whole(client, world):
    told = Corrupt("pack 7 is cut off", hint="Verify the vault.", code="Odd").to_dict()
    body = msgspec.json.encode({"error": {"code": "Odd"}, "strongroom": told})
    world.fault("keys", Fault(status=500, body=body))
    pauses = []
    with pytest.raises(Corrupt) as caught:
        client.keys("op-1", KeysRequest(epoch=1, session_public_key=b"key"), pauses.append)
    assert caught.value.to_dict() == told
    assert pauses == []


def test_a_bug_of_the_control_plane_is_taken_for_an_outage(client, world):
    body = b'{"error": {"code": "InternalServerError"}, "strongroom": {"kind": "Bug"}}'
    world.fault("heartbeat", Fault(status=500, body=body))
    with pytest.raises(ControlUnavailable):
        client.heartbeat("op-1", HEARTBEAT)


def test_an_unknown_operation_is_not_found(client):
    with pytest.raises(NotFound):
        client.heartbeat("op-9", HEARTBEAT)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429])
def test_a_control_plane_that_refuses_for_now_is_unavailable(client, world, status):
    world.fault("heartbeat", Fault(status=status))
    with pytest.raises(ControlUnavailable):
        client.heartbeat("op-1", HEARTBEAT)


def test_an_answer_that_is_not_json_is_no_answer(client, world):
    world.fault("lease", Fault(status=200, body=b"<html>"))
    with pytest.raises(ControlUnavailable):
        client.lease(ASK)


def test_a_redirect_is_not_followed(client, world):
    world.fault("lease", Fault(status=307, headers={"location": f"{world.url}/agents/lease"}))
    with pytest.raises(Exception, match="307"):
        client.lease(ASK)


def test_a_hanging_control_plane_is_given_up_at_the_deadline(client, world):
    world.fault("heartbeat", Fault(hang=5))
    with pytest.raises(ControlUnavailable, match="ReadTimeout"):
        client.heartbeat("op-1", HEARTBEAT, seconds=0.1)


def test_nobody_listening_is_unavailable_and_the_message_names_the_address(world):
    url = world.url
    world.close()
    with a_client(url) as client, pytest.raises(ControlUnavailable, match=url):
        client.lease(ASK)


def test_keys_are_asked_again_while_the_answer_is_unknown(client, world):
    operation = world.offer(CheckOrder(server="orders"))
    client.lease(ASK)
    world.release_keys = lambda operation, key: b"sealed" + key
    world.fault("keys", Fault(status=503), Fault(lost=True))
    pauses = []
    request = KeysRequest(epoch=1, session_public_key=b"key")
    assert client.keys(operation.id, request, pauses.append).sealed == b"sealedkey"
    assert len(pauses) == 2


def test_a_retry_after_is_obeyed(client, world):
    world.offer(CheckOrder(server="orders"))
    client.lease(ASK)
    world.fault("keys", Fault(status=429, headers={"retry-after": "7"}))
    pauses = []
    client.keys("op-1", KeysRequest(epoch=1, session_public_key=b"key"), pauses.append)
    assert pauses == [7.0]


def test_tries_are_bounded(world):
    pauses = []
    world.fault("keys", *[Fault(status=503)] * 100)
    request = KeysRequest(epoch=1, session_public_key=b"key")
    with a_client(world.url) as client, pytest.raises(ControlUnavailable):
        client.keys("op-1", request, pauses.append)
    assert len(world.calls) == 6
    assert sum(pauses) < 60


def test_a_refused_enrolment_is_not_tried_again(client, world):
    with pytest.raises(Unauthenticated):
        client.enrol(
            EnrolRequest(token="wrong", name="a", version="1", agent_token_sha256=bytes(32))
        )
    assert len(world.calls) == 1


@pytest.mark.parametrize(
    "url",
    ["http://10.0.0.1:8123", "http://example.com", "ftp://127.0.0.1", "https://u:p@host", ""],
)
def test_an_address_that_would_carry_the_token_in_the_clear_is_refused(url):
    with pytest.raises(Invalid):
        a_client(url)


def test_https_without_a_pinned_authority_is_refused():
    with pytest.raises(Invalid, match="authority"):
        a_client("https://127.0.0.1:1")


def test_a_file_that_is_no_certificate_is_refused(tmp_path):
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(Invalid):
        a_client("https://127.0.0.1:1", ca_file=tmp_path / "ca.pem")


@pytest.fixture
def tls_world(world, tmp_path) -> Iterator[tuple[str, Authority]]:
    authority = Authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.server_certificate())
    world.wrap(context)
    return world.url.replace("http:", "https:"), authority


def test_the_pinned_authority_is_trusted(tls_world):
    url, authority = tls_world
    with a_client(url, ca_file=authority.ca_file) as client:
        assert client.lease(ASK) is None


def test_another_authority_is_refused_and_not_retried(tls_world, tmp_path):
    url, _ = tls_world
    other = tmp_path / "other"
    other.mkdir()
    with (
        a_client(url, ca_file=Authority(other).ca_file) as client,
        pytest.raises(Forbidden, match="certificate"),
    ):
        client.lease(ASK)


def test_threads_share_one_client(client, world):
    for _ in range(8):
        world.offer(CheckOrder(server="orders"))
    leased: list[str] = []

    def lease() -> None:
        leased.append(client.lease(ASK).operation_id)

    threads = [threading.Thread(target=lease) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(leased) == sorted(world.operations)


def test_the_token_is_in_no_error_and_no_repr(world):
    url = world.url
    world.close()
    with a_client(url) as client, pytest.raises(ControlUnavailable) as caught:
        client.lease(ASK)
    assert AGENT_TOKEN not in str(caught.value.to_dict()) + repr(client)
