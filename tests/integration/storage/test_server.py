"""The endpoint as a process: ready file, health, bounds, and a clean end."""

import http.client
import json
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.storage.blob import BlobServiceClient
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from store_world import KEY, KEY_TEXT, a_sas

PROGRAM = f"""
import json, sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
import structlog
structlog.configure(processors=[structlog.processors.JSONRenderer()])
from seams import SystemChance, SystemClock
from strongroom.model.errors import VaultError
from strongroom.storage.server import run
from strongroom.storage.basis.settings import StoreSettings
given = json.loads(sys.argv[1])
for name in ("root", "tls_cert", "tls_key"):
    if name in given:
        given[name] = Path(given[name])
try:
    run(StoreSettings(account="strongroom", account_key=bytes.fromhex({KEY.hex()!r}), **given),
        SystemClock(), SystemChance())
except VaultError as error:
    print(json.dumps(error.to_dict()))
    sys.exit(3)
"""


@dataclass
class Process:
    root: Path
    child: subprocess.Popen
    port: int

    def stop(self) -> tuple[int, list[dict]]:
        """Exit code, and every line that it printed."""
        self.child.send_signal(signal.SIGTERM)
        out, _ = self.child.communicate(timeout=20)
        return self.child.returncode, [json.loads(line) for line in out.splitlines()]

    def ask(self, method: str, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def azure(self) -> BlobServiceClient:
        url = f"http://127.0.0.1:{self.port}/strongroom"
        return BlobServiceClient(url, credential=KEY_TEXT, retry_total=0)


def spawn(root: Path, **settings: object) -> subprocess.Popen:
    given = json.dumps({"root": str(root), "reserve_bytes": 0, **settings})
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, given],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@contextmanager
def a_process(root: Path | None = None, **settings: object) -> Iterator[Process]:
    with tempfile.TemporaryDirectory(prefix="store-") as directory:
        root = root or Path(directory) / "new"
        child = spawn(root, **settings)
        try:
            ready = root / "ready.json"
            deadline = time.monotonic() + 20
            while not ready.exists():
                assert child.poll() is None, child.stdout and child.stdout.read()
                assert time.monotonic() < deadline
                time.sleep(0.01)
            yield Process(root, child, json.loads(ready.read_text())["port"])
        finally:
            if child.poll() is None:
                child.kill()
            child.communicate()


def test_it_says_when_it_is_ready_and_ends_cleanly_with_structured_lines_only() -> None:
    with a_process() as process:
        status, body = process.ask("GET", "/healthz")
        facts = json.loads(body)
        assert (status, facts["status"]) == (200, "ok")
        assert facts["freeBytes"] > 0
        process.azure().create_container("cont").upload_blob("x", b"x")
        told = json.loads((process.root / "ready.json").read_text())
        assert told["url"] == f"http://127.0.0.1:{process.port}/strongroom"
        code, lines = process.stop()
        assert code == 0
        assert [line["event"] for line in lines] == [
            "store_ready",
            "container_created",
            "blob_created",
            "store_stopped",
        ]
        assert not (process.root / "ready.json").exists()


def test_what_was_put_is_there_after_a_kill(tmp_path: Path) -> None:
    with a_process(tmp_path) as process:
        process.azure().create_container("cont").upload_blob("g/1/x", b"bytes")
        process.child.kill()
        process.child.wait()
        (tmp_path / "ready.json").unlink()
    with a_process(tmp_path) as process:
        container = process.azure().get_container_client("cont")
        assert container.download_blob("g/1/x").readall() == b"bytes"


def test_one_process_owns_a_root() -> None:
    with a_process() as process:
        second = spawn(process.root)
        out, _ = second.communicate(timeout=20)
        assert second.returncode == 3
        assert json.loads(out.splitlines()[-1])["kind"] == "Conflict"


def test_a_taken_port_is_told_with_a_next_step(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        child = spawn(tmp_path, port=taken.getsockname()[1])
        out, _ = child.communicate(timeout=20)
    told = json.loads(out.splitlines()[-1])
    assert (child.returncode, told["kind"], bool(told["hint"])) == (3, "Precondition", True)


def test_an_upload_under_way_ends_before_the_process_does() -> None:
    with a_process() as process:
        process.azure().create_container("cont")
        sas = a_sas("cont", "g/1", "d", "c")
        with socket.create_connection(("127.0.0.1", process.port)) as line:
            head = [f"PUT /strongroom/cont/g/1/x?{sas} HTTP/1.1", "Host: a"]
            head += ["x-ms-blob-type: BlockBlob", "Content-Length: 10", "", ""]
            line.sendall("\r\n".join(head).encode() + b"01234")
            time.sleep(0.2)
            process.child.send_signal(signal.SIGTERM)
            time.sleep(0.2)
            line.sendall(b"56789")
            assert line.recv(100).startswith(b"HTTP/1.1 201")
        process.child.wait(timeout=20)
        assert process.child.returncode == 0
        assert (process.root / "strongroom/cont/g/1/x").read_bytes() == b"0123456789"


def test_a_silent_client_does_not_hold_up_the_end() -> None:
    with a_process(stop_seconds=1) as process:
        process.azure().create_container("cont")
        sas = a_sas("cont", "g/1", "d", "c")
        with socket.create_connection(("127.0.0.1", process.port)) as line:
            head = [f"PUT /strongroom/cont/g/1/x?{sas} HTTP/1.1", "Host: a"]
            head += ["x-ms-blob-type: BlockBlob", "Content-Length: 10", "", ""]
            line.sendall("\r\n".join(head).encode() + b"01234")
            time.sleep(0.2)
            before = time.monotonic()
            code, _ = process.stop()
            assert time.monotonic() - before < 8
        assert code == 0
        assert list((process.root / ".strongroom/incoming").iterdir()) == []


def test_a_head_that_never_ends_is_cut_off() -> None:
    with (
        a_process() as process,
        socket.create_connection(("127.0.0.1", process.port), timeout=10) as line,
    ):
        line.sendall(b"GET /healthz HTTP/1.1\r\nX-Endless: ")
        with pytest.raises(OSError):  # noqa: PT012 - it is cut off at one of these
            for _ in range(200):
                line.sendall(b"x" * 10_000)
                time.sleep(0.001)
            assert line.recv(1) == b""
            raise ConnectionResetError


def test_a_slow_body_is_given_up() -> None:
    with a_process(idle_seconds=0.3) as process:
        process.azure().create_container("cont")
        sas = a_sas("cont", "g/1", "d", "c")
        with socket.create_connection(("127.0.0.1", process.port), timeout=10) as line:
            head = [f"PUT /strongroom/cont/g/1/x?{sas} HTTP/1.1", "Host: a"]
            head += ["x-ms-blob-type: BlockBlob", "Content-Length: 10", "", ""]
            line.sendall("\r\n".join(head).encode() + b"01234")
            assert b"OperationTimedOut" in line.recv(2000)
        assert list((process.root / ".strongroom/incoming").iterdir()) == []


def test_memory_does_not_grow_with_the_blob() -> None:
    with a_process() as process:
        container = process.azure().create_container("cont")
        container.upload_blob("warm", b"x" * (4 << 20))
        before = _peak_kib(process.child.pid)
        data = b"x" * (48 << 20)
        threads = [
            threading.Thread(target=container.upload_blob, args=(f"g/{n}", data)) for n in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        container.download_blob("g/0").readinto(_Nowhere())
        assert _peak_kib(process.child.pid) - before < 40 * 1024


def test_https_serves_a_sas_that_is_good_for_https_only(tmp_path: Path) -> None:
    cert, key = _certificate(tmp_path)
    root = tmp_path / "root"
    with a_process(root, tls_cert=str(cert), tls_key=str(key)) as process:
        url = f"https://127.0.0.1:{process.port}/strongroom"
        options = {"retry_total": 0, "connection_verify": str(cert)}
        service = BlobServiceClient(url, credential=KEY_TEXT, **options)
        service.create_container("cont")
        sas = a_sas("cont", "g/1", "d", "c", protocol="https")
        writer = BlobServiceClient(url, credential=sas, **options).get_container_client("cont")
        writer.upload_blob("g/1/x", b"x")
        assert json.loads((root / "ready.json").read_text())["url"] == url
        context = ssl.create_default_context(cafile=str(cert))
        with (
            socket.create_connection(("127.0.0.1", process.port)) as line,
            context.wrap_socket(line, server_hostname="127.0.0.1") as secure,
        ):
            assert secure.version() in ("TLSv1.2", "TLSv1.3")


class _Nowhere:
    def write(self, data: bytes) -> int:
        return len(data)


def _peak_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM")))


def _certificate(directory: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    import ipaddress

    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = directory / "cert.pem", directory / "key.pem"
    cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return cert_file, key_file
