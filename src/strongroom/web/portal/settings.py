"""One's own settings: theme and password; and what this installation is."""

from fastapi import APIRouter
from fastapi.responses import RedirectResponse, Response

from strongroom.control.identities import users
from strongroom.model.errors import UserError
from strongroom.web.portal import render
from strongroom.web.portal.door import THEMES, Guest, PortalRoute, Sent, address_of

router = APIRouter(include_in_schema=False, route_class=PortalRoute)
_YEAR_SECONDS = 31_536_000


@router.get("/settings")
def settings(visit: Guest) -> Response:
    """Who you are here, and what this is."""
    return visit.page("settings.html", error=None)


@router.post("/settings/theme")
def theme(visit: Guest, form: Sent) -> Response:
    """Light, dark, or as the system has it."""
    chosen, to = form.text("theme"), form.text("to", "/")
    inside = to if to.startswith("/") and not to.startswith(("//", "/\\")) else "/"
    answer = RedirectResponse(inside, 303, render.HEADERS)
    if chosen in THEMES:
        answer.set_cookie(
            "theme",
            chosen,
            max_age=_YEAR_SECONDS,
            samesite="strict",
            secure=visit.request.url.scheme == "https",
            httponly=True,
        )
    return answer


@router.post("/settings/password")
def password(visit: Guest, form: Sent) -> Response:
    """Another password. Everybody who was signed in with the old one is out."""
    old, new = (form.get(name, [""])[0] for name in ("old", "new"))
    if new != form.get("again", [""])[0]:
        error = UserError("the two new passwords differ", hint="type the same one twice")
        return visit.page("settings.html", 400, error=error)
    try:
        address = address_of(visit.request)
        users.change_password(visit.control, visit.caller, address, old, new)
    except UserError as refused:
        return visit.page("settings.html", 400, error=refused)
    return RedirectResponse("/sign-in", 303, render.HEADERS)
