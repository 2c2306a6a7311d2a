"""Watch for what needs somebody, and tell it outside: to a webhook, by e-mail.

Where to is in a file of the operator's, read anew each time (docs/operations.md):

    {"webhook": {"url": "https://...", "secret": "..."},
     "mail": {"host": "smtp.example.com", "port": 587, "security": "starttls", "user": "...",
              "password": "...", "sender": "vault@example.com", "to": ["dba@example.com"]}}

Each alert is told when it begins and when it ends, at least once: a place that was away is told
again. Without the file alerts are shown in the portal alone.
"""

import hashlib
import hmac
import smtplib
import ssl
from email.message import EmailMessage
from functools import partial
from pathlib import Path
from typing import Any, Literal

import httpx
import msgspec
import structlog

from strongroom.control import alerts
from strongroom.control.control import Control
from strongroom.model.alert import Alert
from strongroom.model.errors import ControlUnavailable, Invalid
from strongroom.workflows.ticking import Ticking

FILE = "alerts.json"
EVERY_SECONDS = 30.0
_AT_ONCE = 50
_WAIT_SECONDS = 15.0

log = structlog.get_logger()


class Webhook(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`secret` signs each call: X-Strongroom-Signature is sha256=HMAC of the body, in hex."""

    url: str
    secret: str = ""


class Mail(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """An SMTP server that takes our mail."""

    host: str
    sender: str
    to: list[str]
    port: int = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str = ""
    password: str = ""


class Places(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Where alerts are told."""

    webhook: Webhook | None = None
    mail: Mail | None = None


class Alerting(Ticking):
    """A thread of its own: a mail server that does not answer holds up nothing else."""

    def __init__(self, control: Control, directory: Path) -> None:
        super().__init__("alerts", control.clock)
        self.add("alerts", EVERY_SECONDS, partial(_settle, control))
        self.add("telling", EVERY_SECONDS, partial(tell, control, directory / FILE))


def _settle(control: Control) -> None:
    begun, ended = alerts.settle_alerts(control)
    if begun or ended:
        log.info("alerts.settled", begun=begun, ended=ended)


def read_places(file: Path) -> Places | None:
    """None where there is no file. Raises Invalid for one that cannot be read."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=Places)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise Invalid(f"{file} says not where alerts go: {error}", hint="mend it") from error


def tell(control: Control, file: Path) -> None:
    """What has not been told. Raises ControlUnavailable when a place is away: all is kept."""
    places = read_places(file)
    if places is None:
        return
    for alert in alerts.untold(control, _AT_ONCE):
        told = message_of(alert, control.installation.portal_url)
        try:
            if places.webhook is not None:
                _call(places.webhook, told)
            if places.mail is not None:
                _send(places.mail, told)
        except (httpx.HTTPError, smtplib.SMTPException, OSError) as error:
            raise ControlUnavailable(
                f"an alert could not be told: {type(error).__name__}",
                hint=f"see the places in {FILE}; it is tried again",
            ) from error
        alerts.note_told(control, alert)


def message_of(alert: Alert, portal: str) -> dict[str, Any]:
    """What is told of an alert."""
    return {
        "id": alert.id,
        "state": "begun" if alert.ended_at is None else "ended",
        "severity": alert.severity,
        "title": alert.title,
        "words": alert.words,
        "hint": alert.hint,
        "since": alert.since.format_iso(),
        "ended": None if alert.ended_at is None else alert.ended_at.format_iso(),
        "url": f"{portal}{alert.path}",
    }


def _call(hook: Webhook, told: dict[str, Any]) -> None:
    body = msgspec.json.encode(told)
    headers = {"Content-Type": "application/json"}
    if hook.secret:
        digest = hmac.new(hook.secret.encode(), body, hashlib.sha256).hexdigest()
        headers["X-Strongroom-Signature"] = f"sha256={digest}"
    httpx.post(hook.url, content=body, headers=headers, timeout=_WAIT_SECONDS).raise_for_status()


def _send(mail: Mail, told: dict[str, Any]) -> None:
    letter = EmailMessage()
    over = "over: " if told["state"] == "ended" else ""
    letter["Subject"] = f"[strongroom] {over}{told['title']}"
    letter["From"], letter["To"] = mail.sender, ", ".join(mail.to)
    lines = [told["words"], told["hint"], "", f"Since {told['since']}", told["url"]]
    letter.set_content("\n".join(lines))
    trusted = ssl.create_default_context()
    if mail.security == "tls":
        server: smtplib.SMTP = smtplib.SMTP_SSL(
            mail.host, mail.port, timeout=_WAIT_SECONDS, context=trusted
        )
    else:
        server = smtplib.SMTP(mail.host, mail.port, timeout=_WAIT_SECONDS)
    with server:
        if mail.security == "starttls":
            server.starttls(context=trusted)
        if mail.user:
            server.login(mail.user, mail.password)
        server.send_message(letter)
