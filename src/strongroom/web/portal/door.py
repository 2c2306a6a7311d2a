"""The portal's door: whose cookie it is, whether the form is ours, and how it is answered."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import structlog
from fastapi import Depends
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from whenever import Instant

from strongroom.control.basis.control import Control
from strongroom.control.identities import role_assignments, sessions
from strongroom.control.identities.sessions import Session
from strongroom.control.oversight import audit
from strongroom.control.overview import fleet, open_counts
from strongroom.control.overview.fleet import Fleet
from strongroom.control.overview.offers import offers
from strongroom.model import arm, errors
from strongroom.model.errors import Forbidden, VaultError
from strongroom.model.identities.access import Caller
from strongroom.web.portal import render, words

log = structlog.get_logger()
PLACES = [  # path, words, whether a new group begins
    ("/", "Overview", True),
    ("/instances", "Instances", False),
    ("/jobs", "Jobs", False),
    ("/drills", "Drills", False),
    ("/policies", "Policies", True),
    ("/vaults", "Vaults", False),
    ("/servers", "Servers", False),
    ("/cost", "Cost", False),
    ("/reports", "Reports", False),
    ("/alerts", "Alerts", True),
    ("/approvals", "Approvals", False),
    ("/audit", "Audit trail", False),
    ("/access", "Access", False),
]
LETTERS = {"/": "o", **{path: path[1] for path in ("/instances", "/jobs", "/drills", "/policies")}}
LETTERS |= {path: path[1] for path in ("/vaults", "/servers", "/cost", "/alerts")}
LETTERS |= {"/reports": "r", "/approvals": "w", "/audit": "t", "/access": "u"}
THEMES = ("auto", "light", "dark")
_STATUS: dict[type[VaultError], int] = {
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Locked: 409,
    errors.Changed: 412,
    errors.SlowDown: 429,
    errors.UserError: 400,
    errors.ControlUnavailable: 503,
    errors.StoreUnavailable: 503,
}


class SignedOut(Exception):
    """Nobody is signed in. No failure: they are asked to, and come back to where they were."""


def cookie_name(request: Request) -> str:
    """Bound to this host and to https where there is https."""
    return "__Host-strongroom" if request.url.scheme == "https" else "strongroom"


def control_of(request: Request) -> Control:
    """Our means."""
    found: Control = request.app.state.control
    return found


def check_host(request: Request) -> None:
    """Only under our own names: a foreign one that points at us is somebody's trick."""
    told = control_of(request).installation
    ours = {urlsplit(url).netloc for url in (told.portal_url, told.public_url, *told.other_urls)}
    ours |= {f"localhost:{urlsplit(told.portal_url).port}"}
    if request.headers.get("host", "").lower() not in ours:
        raise errors.Invalid(
            "this is not an address of the portal", hint=f"open {told.portal_url} instead"
        )


def address_of(request: Request) -> str:
    """Where the caller is."""
    return request.client.host if request.client else ""


def find_session(request: Request, *, used: bool) -> Session | None:
    """Who is signed in, if anybody is."""
    check_host(request)
    token = request.cookies.get(cookie_name(request), "")
    control = control_of(request)
    if not token:
        return None
    return sessions.find_session(control, token, address_of(request), used=used)


@dataclass
class Visit:
    """One request of somebody who is signed in."""

    request: Request
    session: Session

    @cached_property
    def control(self) -> Control:
        """Our means."""
        return control_of(self.request)

    @property
    def caller(self) -> Caller:
        """Who asks, as every use case wants to know."""
        return self.session.caller

    @cached_property
    def now(self) -> Instant:
        """Of this request."""
        return self.control.clock.now()

    @cached_property
    def fleet(self) -> Fleet:
        """Everything that they may see, looked up once."""
        return fleet.see_fleet(self.control, self.caller)

    @cached_property
    def counts(self) -> dict[str, int]:
        """Path -> how much there is, or waits for somebody."""
        found = open_counts.count_open(self.control, self.caller, self.fleet)
        told = {"/instances": len(self.fleet.ships), "/jobs": found.running}
        return told | {"/alerts": found.alerts, "/approvals": found.approvals}

    @cached_property
    def places(self) -> list[tuple[str, str, bool]]:
        """Where the menu leads: what they may not look at is not offered."""
        scope = arm.subscription_id_of(self.control.installation.subscription_id)
        needed = {"/audit": audit.READ, "/access": role_assignments.READ}
        may = offers(self.control, self.caller, scope, needed)
        return [place for place in PLACES if may.get(place[0], True)]

    def may_see(self, path: str) -> bool:
        """Whether it is a place of theirs."""
        return any(place[0] == path for place in self.places)

    @property
    def letters(self) -> dict[str, str]:
        """Path -> the key that leads there, after G."""
        return LETTERS

    def is_at(self, path: str) -> bool:
        """Whether this is that place, or lies within it."""
        here = self.request.url.path
        return here == path or (path != "/" and here.startswith(path + "/"))

    @property
    def theme(self) -> str:
        """auto, light or dark."""
        found = self.request.cookies.get("theme", "auto")
        return found if found in THEMES else "auto"

    @cached_property
    def zone(self) -> str:
        """Theirs, as their browser tells it."""
        return words.zone_or_utc(unquote(self.request.cookies.get("zone", "UTC")))

    @property
    def is_part(self) -> bool:
        """Whether a part of a page is asked for, not the page."""
        return self.request.headers.get("hx-request", "") == "true"

    def page(self, template: str, http_status: int = 200, **facts: Any) -> Response:  # noqa: ANN401
        """A page of the portal."""
        told = {"visit": self, "now": self.now, "zone": self.zone, **facts}
        return render.html(self.request, render.text_of(template, told), http_status)

    def go(self, path: str) -> Response:
        """What was asked for is done: look there."""
        if self.is_part:
            return Response(status_code=200, headers={**render.HEADERS, "HX-Redirect": path})
        return RedirectResponse(path, 303, render.HEADERS)


def _visit(request: Request) -> Visit:
    session = find_session(request, used="hx-request" not in request.headers)
    if session is None:
        raise SignedOut
    return Visit(request, session)


Guest = Annotated[Visit, Depends(_visit)]


class Form(dict[str, list[str]]):
    """The fields of a form."""

    def text(self, name: str, default: str = "") -> str:
        """One field, without blanks around it."""
        return self.get(name, [default])[0].strip()

    def has(self, name: str) -> bool:
        """Whether a box is ticked."""
        return bool(self.text(name))


async def read_form(request: Request) -> Form:
    """The fields of whatever was posted, from our own pages alone."""
    origin = request.headers.get("origin")
    if origin and origin != "null":
        same = urlsplit(origin).netloc.lower() == request.headers.get("host", "").lower()
    else:
        same = request.headers.get("sec-fetch-site", "same-origin") in {"same-origin", "none"}
    if not same or origin == "null":
        raise Forbidden("this form was sent from another site", hint="open the portal itself")
    body = (await request.body()).decode("utf-8", "replace")
    try:
        return Form(parse_qs(body, keep_blank_values=True, max_num_fields=500))
    except ValueError as error:
        raise errors.Invalid("this form has too many fields") from error


async def _form(request: Request, visit: Guest) -> Form:
    found = await read_form(request)
    if found.text("form_key") != visit.session.form_key:
        raise Forbidden("this form is not one of yours", hint="load the page again, then send it")
    return found


Sent = Annotated[Form, Depends(_form)]
_MISTAKE = "this page has met a mistake of ours"
_REPORT = "try again; if it comes again, report it with the reference below"
_FROM_THE_MENU = "go there from the menu, or look for it under Instances"
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class PortalRoute(APIRoute):
    """Failures are pages, or parts of pages, in the words of model/errors.py."""

    def get_route_handler(self) -> Handler:
        """FastAPI's own, with our answers to failures."""
        inner = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await inner(request)
            except SignedOut:
                return _sign_in_first(request)
            except VaultError as error:
                return await _answered(request, error)
            except RequestValidationError:
                told = "a part of this address cannot be read"
                return await _answered(request, errors.Invalid(told, hint=_FROM_THE_MENU))
            except HTTPException:
                raise
            except Exception:  # a bug of ours, told with its reference
                log.exception("portal.bug", correlation=request.state.correlation)
                return await _answered(request, VaultError(_MISTAKE, hint=_REPORT))

        return handle


def _sign_in_first(request: Request) -> Response:
    if request.headers.get("sec-fetch-site") == "cross-site" and request.method == "GET":
        # A link from elsewhere brings no strict cookie: the page asks for itself once more.
        text = render.text_of("again.html", {})
        return render.html(request, text)
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    to = "/sign-in" + (f"?to={quote(path)}" if request.method == "GET" and path != "/" else "")
    if request.headers.get("hx-request"):
        return Response(status_code=200, headers={**render.HEADERS, "HX-Redirect": to})
    return RedirectResponse(to, 303, render.HEADERS)


def _back(request: Request) -> str:
    """The page of ours from which a form was sent; empty where that is not known."""
    came = urlsplit(request.headers.get("referer", ""))
    same = came.netloc.lower() == request.headers.get("host", "").lower()
    sent = request.method == "POST" and same and came.path != request.url.path
    return came.path + (f"?{came.query}" if came.query else "") if sent else ""


async def _answered(request: Request, error: VaultError) -> Response:
    found: Response = await request.app.state.run(failed, request, error)
    return found


def failed(request: Request, error: VaultError) -> Response:
    """The page of a failure, or the part in whose place it comes."""
    status = next((_STATUS[base] for base in type(error).__mro__ if base in _STATUS), 500)
    if status >= 500 and type(error) is not VaultError:
        log.error("portal.failed", correlation=request.state.correlation, exc_info=error)
    asked = request.method == "GET"  # nothing was to be changed
    told = {"error": error, "reference": request.state.correlation, "asked": asked}
    told |= {"status": status, "back": _back(request)}
    if request.headers.get("hx-request"):
        return render.html(request, render.text_of("failed_part.html", told), status)
    try:
        session = find_session(request, used=False)
    except VaultError:
        session = None
    if session is None:
        facts = {**told, "theme": "auto"}
        return render.html(request, render.text_of("failed_outside.html", facts), status)
    return Visit(request, session).page("failed.html", status, **told)
