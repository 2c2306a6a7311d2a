"""What an agent is told, and who it is. Both are its own: the control plane cannot change them.

DIR/agent.token   the token that we made, until agent.json holds it             (0600)
DIR/agent.json    who this agent is, and how it finds the control plane      (0600)
DIR/servers.json  name -> conninfo of the servers it looks after             (0600)
DIR/settings.json hooks and limits: own_settings.py                          (0600)
DIR/ready.json    written when the agent has made its first call for work
"""

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from strongroom.agent.private_file import read_private, write_private
from strongroom.model.errors import Invalid, Precondition
from strongroom.model.work.operation import HEARTBEAT_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How an agent runs. `control_url` and `ca_file` may be left out once it is enrolled.

    `restore_roots`: directories beneath which a restore may write; none means anywhere that is
    empty or new. `slots`: how many operations run side by side. `scratch`: where drills put a
    whole server for a while; PostgreSQL's own user must reach it.
    """

    data: Path
    name: str = "agent"
    control_url: str = ""
    ca_file: Path | None = None
    enrol_token_file: Path | None = None
    restore_roots: tuple[Path, ...] = ()
    scratch: Path | None = None
    slots: int = 2
    poll_seconds: float = 20.0
    facts_seconds: float = 30.0
    heartbeat_seconds: float = HEARTBEAT_SECONDS
    stop_seconds: float = 8.0  # how long the current work has to let go after SIGTERM

    @property
    def identity_file(self) -> Path:
        """Who we are."""
        return self.data / "agent.json"

    @property
    def token_file(self) -> Path:
        """Our own token while we enrol."""
        return self.data / "agent.token"

    @property
    def servers_file(self) -> Path:
        """What we look after."""
        return self.data / "servers.json"

    @property
    def own_file(self) -> Path:
        """What this host decides alone."""
        return self.data / "settings.json"

    @property
    def ready_file(self) -> Path:
        """That we are at work."""
        return self.data / "ready.json"


class Identity(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Who we are since we enrolled. The token is never logged: `repr` hides it."""

    agent_id: str
    agent_token: str
    control_url: str
    ca_file: str = ""

    def __repr__(self) -> str:
        return f"Identity(agent_id={self.agent_id!r}, control_url={self.control_url!r})"


def load_identity(settings: Settings) -> Identity | None:
    """The stored identity, with the address that the settings give when they give one."""
    data = read_private(settings.identity_file)
    if data is None:
        return None
    try:
        identity = msgspec.json.decode(data, type=Identity)
    except msgspec.MsgspecError as error:
        raise Invalid(
            f"{settings.identity_file} is not an agent's identity",
            hint="Restore the file, or remove it and enrol the agent again.",
        ) from error
    return msgspec.structs.replace(
        identity,
        control_url=settings.control_url or identity.control_url,
        ca_file=str(settings.ca_file or identity.ca_file),
    )


def save_identity(settings: Settings, identity: Identity) -> None:
    """Keep it, mode 0600."""
    write_private(settings.identity_file, msgspec.json.encode(identity))


def checked_url(url: str) -> str:
    """A control plane's address: https, or http on this machine alone.

    Raises Invalid for anything else, so that a token never travels in the clear.
    """
    parts = urlsplit(url)
    if parts.username is not None or parts.query or parts.fragment or not parts.hostname:
        raise Invalid(
            "the control plane's address must be https://HOST:PORT",
            hint="Give --control https://HOST:PORT as `strongroom status` shows it.",
        )
    if parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname)):
        return url.rstrip("/")
    raise Invalid(
        f"the control plane's address {parts.scheme}://{parts.hostname} is not safe",
        hint="Use https; plain http is for 127.0.0.1 alone.",
    )


def control_address(settings: Settings) -> str:
    """The address to enrol at; Precondition when nobody said it."""
    if not settings.control_url:
        raise Precondition(
            "this agent is not enrolled and has no control plane's address",
            hint="Start it with --control https://HOST:PORT, --ca FILE and --enrol FILE.",
        )
    return checked_url(settings.control_url)


def is_loopback(host: str) -> bool:
    """Whether it is this machine itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
