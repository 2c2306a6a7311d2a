"""Sign in, sign out."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import RedirectResponse, Response
from starlette.requests import Request

from strongroom.control.identities import sessions
from strongroom.model.errors import SlowDown, Unauthenticated
from strongroom.web.portal import render
from strongroom.web.portal.door import (
    Form,
    Guest,
    PortalRoute,
    Sent,
    address_of,
    check_host,
    control_of,
    cookie_name,
    read_form,
)

router = APIRouter(include_in_schema=False, route_class=PortalRoute)
_WRONG = "No user has this name and this password."


@router.get("/sign-in")
def ask(request: Request, to: Annotated[str, Query(max_length=2000)] = "/") -> Response:
    """Who are you?"""
    check_host(request)
    return _page(request, to, "", "")


@router.post("/sign-in")
def sign_in(request: Request, form: Annotated[Form, Depends(read_form)]) -> Response:
    """A session, and back to where they were going."""
    check_host(request)
    name, to, control = form.text("name"), form.text("to"), control_of(request)
    try:
        secret = form.get("password", [""])[0]
        token = sessions.begin_session(control, address_of(request), name, secret)
    except Unauthenticated:
        return _page(request, to, name, _WRONG, 401)
    except SlowDown as error:
        seconds = int(error.facts["retry_after_seconds"]) + 1
        why = f"Too many wrong passwords in a row. Try again in {seconds} seconds."
        return _page(request, to, name, why, 429)
    return with_cookie(request, token, to)


def with_cookie(request: Request, token: str, to: str) -> Response:
    """Signed in, and on to where they were going."""
    answer = RedirectResponse(inside(to), 303, render.HEADERS)
    answer.set_cookie(
        cookie_name(request),
        token,
        max_age=sessions.MOST_HOURS * 3600,
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return answer


@router.post("/sign-out")
def sign_out(visit: Guest, form: Sent) -> Response:
    """The session is over, here and in the catalogue."""
    del form
    name = cookie_name(visit.request)
    sessions.end_session(visit.control, visit.session, visit.request.cookies.get(name, ""))
    answer = RedirectResponse("/sign-in", 303, render.HEADERS)
    secure = visit.request.url.scheme == "https"
    answer.delete_cookie(name, secure=secure, httponly=True, samesite="strict")
    return answer


def inside(to: str) -> str:
    """A path of ours: nobody is sent elsewhere."""
    return to if to.startswith("/") and not to.startswith(("//", "/\\")) else "/"


def _page(request: Request, to: str, name: str, why: str, status: int = 200) -> Response:
    theme = request.cookies.get("theme", "auto")
    facts: dict[str, object] = {"to": inside(to), "name": name, "why": why, "theme": theme}
    facts["by_issuer"] = request.app.state.sign_in_file.exists()
    return render.html(request, render.text_of("sign_in.html", facts), status)
