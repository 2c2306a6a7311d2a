"""S1: what the thief of a writer's SAS tries is refused, told in the log, and changes nothing."""

import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qsl, quote

import pytest
import structlog
from azure.storage.blob import AccountSasPermissions, ResourceTypes, generate_account_sas

from seams import SystemClock
from storage_probes import ENDED, EPOCH, PROBES, Probe, Sas
from store_world import ACCOUNT, KEY, KEY_TEXT, StoreWorld, a_store_world, soon
from strongroom.datastore.places.container import Container


@pytest.fixture(scope="module")
def world() -> Iterator[StoreWorld]:
    with a_store_world() as world:
        for name in ("cont", "other"):
            container = world.azure().create_container(name)
            for blob in ("g/gen1/old.pack", "g/gen2/old.pack", "p/point.manifest", "G/x"):
                container.upload_blob(blob, b"old bytes")
        account = Container(f"{world.url}/cont", KEY, SystemClock())
        for identifier in (ENDED, EPOCH):
            account.give_identifier(identifier, 100)
        account.withdraw_identifier(ENDED)
        yield world


def ask(world: StoreWorld, probe: Probe) -> tuple[int, str, bytes]:
    query = "&".join(filter(None, (probe.query, probe.sas.text() if probe.sas else "")))
    connection = http.client.HTTPConnection("127.0.0.1", world.port, timeout=10)
    headers = dict(probe.headers)
    if probe.body is not None and "Transfer-Encoding" not in headers:
        headers.setdefault("Content-Length", str(len(probe.body)))
    try:
        connection.putrequest(probe.method, f"{probe.path}?{query}", skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders(probe.body)
        answer = connection.getresponse()
        return answer.status, answer.headers["x-ms-error-code"] or "", answer.read()
    finally:
        connection.close()


def everything(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and "ledger" not in path.name
    }


def incoming(world: StoreWorld) -> list[Path]:
    return list((world.root / ".strongroom/incoming").iterdir())


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_there_are_enough_probes_and_each_has_its_name() -> None:
    assert len({probe.says for probe in PROBES}) == len(PROBES) >= 60


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.says)
def test_a_thief_of_the_writers_sas_is_refused_and_the_refusal_is_told(
    world: StoreWorld, probe: Probe
) -> None:
    before = everything(world.root)
    with structlog.testing.capture_logs() as lines:
        status, code, body = ask(world, probe)
    assert (status >= 400, code) == (True, probe.codes)
    assert probe.method == "HEAD" or f"<Code>{code}</Code>".encode() in body
    assert everything(world.root) == before
    given = [(each.id, each.quota, each.used) for each in world.store.identifiers.of("cont")]
    assert given == [(EPOCH, 100, 0)]
    told = [line for line in lines if line["event"] == "request_refused"]
    assert [line["code"] for line in told] == [code]
    words = json.dumps(lines)
    assert "sig=" not in words
    if probe.sas is not None:
        signature = dict(parse_qsl(probe.sas.text())).get("sig", "")
        assert not signature or signature not in words
        assert signature == "" or quote(signature, safe="") not in words


def test_the_writer_itself_may_write_where_it_should(world: StoreWorld) -> None:
    delta, w = Sas(path="d/job.1.delta", resource="b"), Sas(permissions="w")
    for probe in (
        Probe("its pack", ""),
        Probe("an encoded slash is a slash", "", path="/strongroom/cont/g/gen1%2fsecond.pack"),
        Probe("deeper", "", path="/strongroom/cont/g/gen1/a/b/c.pack"),
        Probe("its delta", "", path="/strongroom/cont/d/job.1.delta", sas=delta),
        Probe("twice encoded dots are a name", "", path="/strongroom/cont/g/gen1/%252e%252e"),
        Probe("with w", "", path="/strongroom/cont/g/gen1/w.pack", sas=w),
    ):
        assert ask(world, probe)[:2] == (201, "")
    assert world.file("cont", "g/gen1/second.pack").read_bytes() == b"x"
    assert world.file("cont", "g/gen1/%2e%2e").read_bytes() == b"x"


def test_azures_account_sas_is_not_taken(world: StoreWorld) -> None:
    sas = generate_account_sas(
        ACCOUNT,
        KEY_TEXT,
        ResourceTypes(service=True, container=True, object=True),
        AccountSasPermissions(read=True, write=True, delete=True, list=True),
        soon(),
    )
    client = world.azure_by_sas("cont", sas)
    with pytest.raises(Exception, match="AuthenticationFailed"):
        client.upload_blob("g/gen1/x", b"x")


def test_a_body_that_stops_coming_leaves_nothing(world: StoreWorld) -> None:
    before = everything(world.root)
    path = f"/strongroom/cont/g/gen1/half.pack?{Sas().text()}"
    lines = [f"PUT {path} HTTP/1.1", "Host: a", "x-ms-blob-type: BlockBlob"]
    head = "\r\n".join([*lines, "Content-Length: 100000", "", ""])
    with socket.create_connection(("127.0.0.1", world.port)) as line:
        line.sendall(head.encode() + b"x" * 5000)
        wait_until(lambda: len(incoming(world)) == 1)
    wait_until(lambda: incoming(world) == [])
    assert everything(world.root) == before
    assert ask(world, Probe("again", "", path="/strongroom/cont/g/gen1/half.pack"))[0] == 201
