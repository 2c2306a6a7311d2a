"""Where alerts and the digest are told: a webhook, e-mail, and what Apprise knows.

Source: a file of the operator's, mode 0600, read anew each time (docs/operations.md):

    {"webhook": {"url": "https://...", "secret": "..."},
     "mail": {"host": "smtp.example.com", "port": 587, "security": "starttls", "user": "...",
              "password": "...", "sender": "vault@example.com", "to": ["dba@example.com"]},
     "apprise": ["slack://...", "pagerduty://..."],
     "digest": {"hour": 7, "zone": "Europe/Berlin"}}

What is in it is secret: no word of it is in a log or an error but a service's own name.
"""

import hashlib
import hmac
import logging
import smtplib
import ssl
import stat
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from functools import partial
from pathlib import Path
from typing import Any, Literal

import httpx
import msgspec

from strongroom.model.errors import Invalid, Precondition
from strongroom.model.oversight.digest import DigestTime

_WAIT_SECONDS = 15.0
FAILURES = (httpx.HTTPError, smtplib.SMTPException, OSError)


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
    """Where alerts are told. `apprise`: its URLs. `digest`: when, if at all."""

    webhook: Webhook | None = None
    mail: Mail | None = None
    apprise: list[str] = []
    digest: DigestTime | None = None

    def __post_init__(self) -> None:
        """Raises ValueError, which msgspec tells as what cannot be read."""
        if self.digest is not None and not 0 <= self.digest.hour <= 23:
            raise ValueError("the digest's hour is 0 to 23")


class Message(msgspec.Struct, kw_only=True, frozen=True):
    """One thing to tell: a subject, text for people, and the same for machines."""

    title: str
    text: str
    told: dict[str, Any]
    severity: str = "notice"
    is_over: bool = False


Place = tuple[str, Callable[[Message], None]]  # its name, and how it is told


def read_places(file: Path) -> Places | None:
    """None where there is no file. Raises Invalid for one that cannot be read, or that others can.

    What is wrong is told without what is in it.
    """
    try:
        if stat.S_IMODE(file.stat().st_mode) & 0o077:
            raise Invalid(f"{file} can be read by others", hint=f"chmod 600 {file}")
        return msgspec.json.decode(file.read_bytes(), type=Places)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise Invalid(f"{file} says not where alerts go: {error}", hint="mend it") from error


def places_of(found: Places) -> Iterator[Place]:
    """Each of them, in the order of the file. Raises Precondition, Invalid."""
    if found.webhook is not None:
        yield "webhook", partial(_call, found.webhook)
    if found.mail is not None:
        yield "mail", partial(_send, found.mail)
    for number, url in enumerate(found.apprise, 1):
        yield f"apprise {number}", partial(_notify, number, url)


def _call(hook: Webhook, message: Message) -> None:
    body = msgspec.json.encode(message.told)
    headers = {"Content-Type": "application/json"}
    if hook.secret:
        digest = hmac.new(hook.secret.encode(), body, hashlib.sha256).hexdigest()
        headers["X-Strongroom-Signature"] = f"sha256={digest}"
    httpx.post(hook.url, content=body, headers=headers, timeout=_WAIT_SECONDS).raise_for_status()


def _send(mail: Mail, message: Message) -> None:
    letter = EmailMessage()
    letter["Subject"] = f"[strongroom] {message.title}"
    letter["From"], letter["To"] = mail.sender, ", ".join(mail.to)
    letter.set_content(message.text)
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


def _notify(number: int, url: str, message: Message) -> None:
    """By Apprise, which is there on request. Its logs are shut: they name addresses, and more."""
    try:
        import apprise  # noqa: PLC0415 - only whoever names such a service has it
    except ImportError as error:
        raise Precondition(
            "alerts.json names services of Apprise, which is not installed",
            hint="pip install --require-hashes -r requirements/extras.txt",
        ) from error
    for name in ("apprise", "urllib3", "requests"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    service = apprise.Apprise.instantiate(url, suppress_exceptions=True)
    if service is None:
        raise Invalid(f"address {number} of `apprise` is none that Apprise knows", hint="mend it")
    kinds = {"grave": "failure", "warning": "warning", "notice": "info"}
    kind = "success" if message.is_over else kinds[message.severity]
    whole = apprise.Apprise()
    whole.add(service)
    if not whole.notify(
        title=f"[strongroom] {message.title}", body=message.text, notify_type=kind
    ):
        raise OSError(f"{service.service_name} did not take it")
