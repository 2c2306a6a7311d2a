"""A real issuer of OpenID Connect on loopback, over https, with keys of its own that rotate."""

import itertools
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from authority import Authority

Key = RSAKey | ECKey


class ForeignIssuer:
    """`keys` are shown, `token` signs with the newest; `down` makes it answer 503."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        authority = Authority(directory)
        self.ca = authority.ca_file.read_text()
        self.keys: list[Key] = []
        self.asked = 0  # how often its keys were
        self.down = False
        self._numbers = itertools.count()
        certificate, key = authority.server_certificate()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://localhost:{self._server.server_port}/realms/corp"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.rotate()

    def rotate(self, key: Key | None = None, **marks: str) -> Key:
        """Sign with another key, shown with these marks; the ones before are gone."""
        fresh = key or ECKey.generate_key("P-256", {"kid": f"key-{next(self._numbers)}"})
        self.keys, self._marks = [fresh], marks
        return fresh

    def token(
        self,
        now: float,
        *,
        key: Key | None = None,
        header: dict[str, Any] | None = None,
        **more: Any,
    ) -> str:
        signing = key or self.keys[-1]
        alg = "ES256" if isinstance(signing, ECKey) else "RS256"
        claims: dict[str, Any] = {"iss": self.url, "sub": "u-1", "iat": now, "nbf": now}
        claims |= {"exp": now + 600, "aud": "https://vault.example"}
        claims = {k: v for k, v in (claims | more).items() if v is not None}
        head = {"alg": alg, "kid": signing.kid, "typ": "JWT"} | (header or {})
        return jwt.encode(head, claims, signing, algorithms=[head["alg"]])

    def document(self, path: str) -> dict[str, Any] | None:
        home = "/realms/corp"
        if path == f"{home}/.well-known/openid-configuration":
            return {"issuer": self.url, "jwks_uri": f"{self.url}/jwks"}
        if path == f"{home}/jwks":
            self.asked += 1
            return {"keys": [key.as_dict(private=False) | self._marks for key in self.keys]}
        return None

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _handler(issuer: ForeignIssuer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told = None if issuer.down else issuer.document(self.path)
            body = json.dumps(told).encode()
            self.send_response(503 if issuer.down else 404 if told is None else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *told: object) -> None:
            """Nobody reads it."""

    return Handler
