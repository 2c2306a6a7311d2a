"""Where the control plane and the storage endpoint listen, and by which names others find them."""

import ipaddress
import re
from collections.abc import Iterable

import msgspec

from strongroom.model.errors import Invalid

LOOPBACK = "127.0.0.1"
_THIS_MACHINE = ("localhost", LOOPBACK, "::1")
# Every address, and the one by which this machine finds itself then.
_EVERYWHERE = {"0.0.0.0": LOOPBACK, "::": "::1"}  # noqa: S104 - read, not bound
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")


class Listening(msgspec.Struct, frozen=True, kw_only=True):
    """`host` is the address to bind; `names` are DNS names and IP addresses, the first one for
    everybody's use. By default a process is there for its own machine alone.
    """

    host: str = LOOPBACK
    names: tuple[str, ...] = ()

    @property
    def is_local(self) -> bool:
        """Nobody on another machine is meant to come."""
        return self.host in _THIS_MACHINE and not self.names

    @property
    def near(self) -> str:
        """The host by which this machine itself reaches the process."""
        return _EVERYWHERE.get(self.host, self.host)

    def public(self, hostname: str) -> str:
        """The host that agents and clients are told. `hostname` is this machine's own name."""
        if self.names:
            return self.names[0]
        if self.is_local:
            return "localhost"
        return hostname if self.host in _EVERYWHERE else self.host

    def certificate_names(self, hostname: str) -> list[str]:
        """Every name under which the certificate must be good, each once."""
        own = (*self.names, "localhost", LOOPBACK, hostname, self.near)
        return list(dict.fromkeys(name.lower() for name in own))


def read_listening(host: str, names: Iterable[str]) -> Listening:
    """Raises Invalid for what is no address, and for what no certificate could hold."""
    found = tuple(dict.fromkeys(_name(name) for name in names))
    return Listening(host=_name(host), names=found)


def at(scheme: str, host: str, port: int) -> str:
    """scheme://host:port, an IPv6 address in brackets."""
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def is_loopback(host: str) -> bool:
    """What is sent there never leaves this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _name(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        name = text.lower().removesuffix(".")
    if len(name) <= 253 and all(_LABEL.fullmatch(label) for label in name.split(".")):
        return name
    raise Invalid(
        f"{text[:80]!r} is neither a DNS name nor an IP address",
        hint="give names such as vault.example.com or 10.0.0.5, without a scheme and a port",
    )
