"""The certificates of this installation's doors, looked at now and then: when they end."""

import ssl
import threading
from urllib.parse import urlsplit

import structlog
from cryptography import x509
from whenever import Instant

from strongroom.config import ServeFiles
from strongroom.model.oversight.outside import Certificate
from strongroom.model.seams import Clock

LOOK_SECONDS = 3600.0
_WAIT_SECONDS = 5.0
_OWN = "Restart serve: it makes itself another; strongroom down, then strongroom up."
_CA = (
    "Move ca.pem and ca.key away and restart serve: it makes another; then carry its ca.pem to "
    "every agent, client and storage endpoint."
)
_STORE = "Make it another beside serve, and restart it with that: strongroom certificate."

log = structlog.get_logger()


class Doors:
    """Of the API, of storage, and of the second copy, as they are shown to whoever comes."""

    def __init__(self, files: ServeFiles, clock: Clock, store_url: str, second_url: str) -> None:
        """The addresses are http(s)://host:port/account; without https there is nothing to see."""
        self._files = files
        self._clock = clock
        self._urls = {"store": store_url, "second": second_url}
        self._lock = threading.Lock()
        self._looked = float("-inf")
        self._found: list[Certificate] = []

    def certificates(self) -> list[Certificate]:
        """As they were within the last hour."""
        with self._lock:
            now = self._clock.monotonic()
            if now - self._looked >= LOOK_SECONDS:
                self._found, self._looked = self._look(), now
            return self._found

    def _look(self) -> list[Certificate]:
        files = self._files
        own = [("api", "the API and the agents' door", files.server_certificate, _OWN)]
        own.append(("ca", "the installation's own authority, which agents trust", files.ca, _CA))
        found = [
            Certificate(key, name, _end(path.read_bytes()), hint) for key, name, path, hint in own
        ]
        names = {"store": "the storage endpoint", "second": "the second copy's endpoint"}
        for key, url in self._urls.items():
            pem = _shown_at(url)
            if pem:
                found.append(Certificate(key, names[key], _end(pem), _STORE))
        return found


def _shown_at(url: str) -> bytes:
    """What a door shows; empty where it has none, or does not answer: that is told elsewhere.

    It is not checked here: one that has expired is what we are looking for.
    """
    place = urlsplit(url)
    if place.scheme != "https":
        return b""
    try:
        where = (place.hostname or "", place.port or 443)
        return ssl.get_server_certificate(where, timeout=_WAIT_SECONDS).encode()
    except (OSError, ValueError) as error:
        log.info("door.not_seen", door=place.netloc, why=type(error).__name__)
        return b""


def _end(pem: bytes) -> Instant:
    return Instant(x509.load_pem_x509_certificate(pem).not_valid_after_utc)
