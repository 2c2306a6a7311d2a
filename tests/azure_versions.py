"""A container of Azure's with version-level immutability, as Microsoft documents it: Azurite has
none. In memory, one container, no credential is checked (Azurite does that).
"""

import contextlib
import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote, urlsplit

UNTIL = "x-ms-immutability-policy-until-date"
MODE = "x-ms-immutability-policy-mode"
HELD = "x-ms-legal-hold"


@dataclass
class Version:
    id: str
    body: bytes
    headers: dict[str, str]  # metadata, policy, hold
    put_at: str = field(default_factory=lambda: format_datetime(datetime.now(UTC), usegmt=True))

    def keeps(self) -> str:
        """The code of the refusal to delete it, or nothing."""
        if self.headers.get(HELD) == "true":
            return "BlobImmutableDueToLegalHold"
        until = self.headers.get(UNTIL)
        if until and parsedate_to_datetime(until) > datetime.now(UTC):
            return "BlobImmutableDueToPolicy"
        return ""


@dataclass
class Container:
    url: str = ""
    versions: dict[str, list[Version]] = field(default_factory=dict)
    current: dict[str, str] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def of(self, name: str, version: str) -> Version | None:
        wanted = version or self.current.get(name)
        return next((v for v in self.versions.get(name, ()) if v.id == wanted), None)

    def put(self, name: str, body: bytes, headers: dict[str, str]) -> Version:
        version = Version(f"{next(self.numbers):09}", body, headers)
        self.versions.setdefault(name, []).append(version)
        self.current[name] = version.id
        return version


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    container: Container

    def _told(self) -> tuple[str, dict[str, str], dict[str, str], bytes]:
        place = urlsplit(self.path)
        name = unquote(place.path).partition("/cont/")[2]
        headers = {key.lower(): value for key, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", 0)))
        return name, dict(parse_qsl(place.query)), headers, body

    def _answer(
        self, status: int, headers: dict[str, str] | None = None, body: bytes = b""
    ) -> None:
        self.send_response(status)
        for key, value in ({"content-length": str(len(body))} | (headers or {})).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _refuse(self, status: int, code: str) -> None:
        self._answer(status, {"x-ms-error-code": code})

    def do_PUT(self) -> None:
        name, query, headers, body = self._told()
        found = self.container.of(name, query.get("versionid", ""))
        if not query:
            if found is not None and headers.get("if-none-match") == "*":
                return self._refuse(409, "BlobAlreadyExists")
            kept = {k: v for k, v in headers.items() if k.startswith("x-ms-meta-")}
            kept |= {k: headers[k] for k in (UNTIL, MODE, HELD) if k in headers}
            version = self.container.put(name, body, kept)
            return self._answer(201, {"x-ms-version-id": version.id})
        if found is None:
            return self._refuse(404, "BlobNotFound")
        if query["comp"] == "legalhold":
            found.headers[HELD] = headers[HELD]
            return self._answer(200)
        sooner = UNTIL in found.headers and parsedate_to_datetime(
            headers[UNTIL]
        ) < parsedate_to_datetime(found.headers[UNTIL])
        if found.headers.get(MODE) == "locked" and (sooner or headers[MODE] != "locked"):
            return self._refuse(409, "BlobImmutableDueToPolicy")
        found.headers |= {k: headers[k] for k in (UNTIL, MODE)}
        return self._answer(200)

    def do_DELETE(self) -> None:
        name, query, _, _ = self._told()
        found = self.container.of(name, query.get("versionid", ""))
        if found is None:
            return self._refuse(404, "BlobNotFound")
        if query.get("comp") == "immutabilityPolicies":
            if found.headers.get(MODE) == "locked":
                return self._refuse(409, "BlobImmutableDueToPolicy")
            found.headers.pop(UNTIL, None)
            found.headers.pop(MODE, None)
            return self._answer(200)
        if "versionid" not in query:
            del self.container.current[name]  # what was current is a version like others
            return self._answer(202)
        if code := found.keeps():
            return self._refuse(409, code)
        self.container.versions[name].remove(found)
        return self._answer(202)

    def do_GET(self) -> None:
        name, query, headers, _ = self._told()
        if query.get("comp") == "list":
            wanted = query["prefix"]
            rows = "".join(
                f"<Blob><Name>{name}</Name><VersionId>{version.id}</VersionId>"
                f"<Properties><Last-Modified>{version.put_at}</Last-Modified></Properties></Blob>"
                for name, versions in self.container.versions.items()
                for version in versions
                if name.startswith(wanted)
            )
            return self._answer(200, body=f"<Blobs>{rows}</Blobs>".encode())
        if query.get("restype") == "container":
            return self._answer(200, {"x-ms-immutable-storage-with-versioning-enabled": "true"})
        found = self.container.of(name, query.get("versionid", ""))
        if found is None:
            return self._refuse(404, "BlobNotFound")
        told = dict(found.headers)
        if "range" not in headers:
            return self._answer(200, told | {"content-length": str(len(found.body))}, found.body)
        start, _, end = headers["range"].removeprefix("bytes=").partition("-")
        piece = found.body[int(start) : int(end) + 1]
        told |= {"content-range": f"bytes {start}-{end}/{len(found.body)}"}
        return self._answer(206, told, piece)

    do_HEAD = do_GET  # noqa: N815 - the base class calls it so

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@contextlib.contextmanager
def azure_versions() -> Iterator[Container]:
    """One container, `cont`, of any account."""
    container = Container()
    handler = type("Handler", (_Handler,), {"container": container})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    container.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield container
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
