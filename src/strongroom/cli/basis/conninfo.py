"""A connection string on its way to the agent: it goes by pipe, never by argument list."""

import json
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from strongroom.model.errors import Failed, Invalid, VaultError

LONGEST = 4096
CHECK_SECONDS = 120
_SCHEMES = ("postgresql://", "postgres://")
# What libpq knows, of PostgreSQL 14 to 18.
KEYWORDS = frozenset(
    re.findall(
        r"\w+",
        """
    application_name channel_binding client_encoding connect_timeout dbname
    fallback_application_name gssdelegation gssencmode gsslib host hostaddr keepalives
    keepalives_count keepalives_idle keepalives_interval krbsrvname load_balance_hosts
    max_protocol_version min_protocol_version oauth_client_id oauth_client_secret oauth_issuer
    oauth_scope options passfile password port replication require_auth requirepeer requiressl
    scram_client_key scram_server_key service servicefile ssl_max_protocol_version
    ssl_min_protocol_version sslcert sslcertmode sslcompression sslcrl sslcrldir sslkey
    sslkeylogfile sslmode sslnegotiation sslpassword sslrootcert sslsni target_session_attrs
    tcp_user_timeout user
""",
    )
)
_UNFIT = re.compile(r"[^-a-zA-Z0-9]+")


def read(argument: str) -> str:
    """The conninfo itself, or standard input for `-`."""
    text = sys.stdin.read(LONGEST + 1).strip() if argument == "-" else argument.strip()
    if not text or len(text) > LONGEST:
        raise Invalid(
            "there is no connection string",
            hint="Give one such as postgresql://backup@db1/postgres, or - and pipe it in.",
        )
    return text


def name_for(conninfo: str) -> str:
    """A name for the server: its host's first label (this machine's for a local one), and its

    port when it is not 5432. Raises Invalid when the text is no conninfo.
    """
    host, port = _host_and_port(conninfo)
    host = host.split(",")[0]
    if not host or host.startswith("/") or host in ("localhost", "127.0.0.1", "::1"):
        host = socket.gethostname()
    label = host if _is_address(host) else host.split(".")[0]
    name = _UNFIT.sub("-", label).strip("-") or "server"
    port = port.split(",")[0]
    if port not in ("", "5432"):
        name = f"{name}-{port}"
    return name[:63] if len(name) >= 3 else f"pg-{name}"


def check(conninfo: str) -> None:
    """Raises Invalid, which repeats nothing of it, when no server could make sense of it."""
    _host_and_port(conninfo)
    if not conninfo.startswith(_SCHEMES):
        words = [word.partition("=")[0] for word in shlex.split(conninfo)]
        if not words or not KEYWORDS.issuperset(words):
            raise _no_conninfo()


def facts_of(conninfo: str, data: Path, name: str) -> dict[str, Any]:
    """The preflight, from this machine: ServerFacts as JSON, with everything that is missing."""
    command = ["agent", "check", name, "--data", str(data / "agent"), "--conninfo-stdin"]
    told = _piped(command, conninfo)
    try:
        found: dict[str, Any] = json.loads(told)
    except ValueError as error:
        raise Failed("the check of the server gave no answer") from error
    return found


def give_to_agent(conninfo: str, data: Path, name: str, *, replace: bool) -> None:
    """The agent on this machine looks after the server from now on. Safe twice."""
    command = ["agent", "add", name, "--data", str(data / "agent")]
    _piped([*command, "--replace"] if replace else command, conninfo)


def local_agent(data: Path) -> str:
    """The id of the agent on this machine; "" before it has enrolled."""
    try:
        found = json.loads((data / "agent" / "agent.json").read_text())
        return str(found["agent_id"])
    except (FileNotFoundError, ValueError, KeyError):
        return ""


def _piped(command: list[str], conninfo: str) -> str:
    try:
        done = subprocess.run(
            [sys.executable, "-m", "strongroom", *command],
            input=conninfo,
            capture_output=True,
            text=True,
            timeout=CHECK_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Failed(
            f"the server did not answer in {CHECK_SECONDS} seconds",
            hint="Is the host right, and no firewall in between? Add connect_timeout=5 to see.",
        ) from error
    if done.returncode != 0:
        raise _told(done.stderr, done.returncode)
    return done.stdout


def _told(text: str, code: int) -> VaultError:
    """What another of our commands said on stderr, as an error of the same exit code."""
    lines = text.strip().splitlines()
    facts = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    hints = [line.removeprefix("hint: ") for line in lines if line.startswith("hint: ")]
    cls = Invalid if code == 2 else Failed
    fact = facts[-1] if facts else (lines or ["it said nothing"])[-1]
    return cls(fact, hint=hints[-1] if hints else "")


def _host_and_port(conninfo: str) -> tuple[str, str]:
    try:
        if conninfo.startswith(_SCHEMES):
            parts = urlsplit(conninfo)
            query = parse_qs(parts.query)
            place = parts.netloc.rpartition("@")[2]
            host, port = place, ""
            if not place.endswith("]"):
                before, colon, after = place.rpartition(":")
                host, port = (before, after) if colon else (place, "")
            host = query.get("host", [host.strip("[]")])[0]
            return host.replace("%2F", "/").replace("%2f", "/"), query.get("port", [port])[0]
        pairs = dict(word.split("=", 1) for word in shlex.split(conninfo))
    except ValueError as error:
        raise _no_conninfo() from error
    return pairs.get("host", pairs.get("hostaddr", "")), pairs.get("port", "")


def _no_conninfo() -> Invalid:
    return Invalid(
        "this is no connection string",  # never the text itself: it may hold a password
        hint="Write postgresql://user@host:5432/postgres or host=db1 user=backup.",
    )


def _is_address(host: str) -> bool:
    return host.replace(".", "").isdigit() or ":" in host
