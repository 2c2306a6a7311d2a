"""A one-time token becomes an identity, once, however often it has to be asked for.

The agent makes its own token and keeps it before it asks. So an answer that was lost, or a crash
before it was written down, costs another call: the control plane knows the token's digest again.
"""

import base64
import hashlib
from itertools import count
from pathlib import Path

import structlog

from strongroom import __version__
from strongroom.agent.backoff import pause_before
from strongroom.agent.control_client import ControlClient
from strongroom.agent.private_file import read_private, write_private
from strongroom.agent.settings import Identity, Settings, control_address, load_identity
from strongroom.agent.settings import save_identity as keep
from strongroom.model.errors import Precondition, Retry, VaultError
from strongroom.model.seams import Chance, Clock
from strongroom.model.work.operation import EnrolReply, EnrolRequest

_log = structlog.get_logger("strongroom.agent")


def enrolled(settings: Settings, clock: Clock, chance: Chance) -> Identity:
    """The identity in the data directory; made with the one-time token when there is none.

    The tokens' files are removed as soon as the identity is safe on disk.
    Raises Precondition without identity and token, Unauthenticated when the token is not valid.
    """
    identity = load_identity(settings)
    if identity is None:
        identity = _enrol(settings, clock, chance)
        keep(settings, identity)
        _log.info("enrolled", agent=identity.agent_id, control=identity.control_url)
    if settings.enrol_token_file is not None:
        settings.enrol_token_file.unlink(missing_ok=True)
    settings.token_file.unlink(missing_ok=True)
    return identity


def _enrol(settings: Settings, clock: Clock, chance: Chance) -> Identity:
    url = control_address(settings)
    one_time_token = _one_time_token(settings.enrol_token_file)
    agent_token = _own_token(settings, chance)
    request = EnrolRequest(
        token=one_time_token,
        name=settings.name,
        version=__version__,
        agent_token_sha256=hashlib.sha256(agent_token.encode()).digest(),
    )
    with ControlClient(url, ca_file=settings.ca_file, chance=chance) as client:
        reply = _patiently(client, request, clock, chance)
    return Identity(
        agent_id=reply.agent_id,
        agent_token=agent_token,
        control_url=url,
        ca_file=str(settings.ca_file.resolve()) if settings.ca_file else "",
    )


def _own_token(settings: Settings, chance: Chance) -> str:
    """32 random bytes in base64: those of an earlier try, or new ones, safe on disk."""
    kept = read_private(settings.token_file)
    if kept is None:
        kept = base64.urlsafe_b64encode(chance.bytes(32)).rstrip(b"=")
        write_private(settings.token_file, kept)
    return kept.decode("ascii")


def _patiently(
    client: ControlClient, request: EnrolRequest, clock: Clock, chance: Chance
) -> EnrolReply:
    """However long it takes until the control plane can be reached: both may start together."""
    for attempt in count():
        try:
            return client.enrol(request)
        except VaultError as error:
            if error.retry is Retry.NEVER:
                raise
            pause = pause_before(attempt, chance)
            _log.warning("not enrolled", why=error.message, pause=round(pause, 1))
        clock.sleep(pause)
    raise AssertionError("count() does not end")


def _one_time_token(path: Path | None) -> str:
    text = ""
    if path is not None and path.is_file():
        text = path.read_text(encoding="ascii").strip()
    if not text:
        raise Precondition(
            "this agent is not enrolled and has no one-time token",
            hint="Make one on the control plane and give its file with --enrol FILE.",
        )
    return text
