"""The short way to a route whose signature asks for nothing but text: most of the API's.

FastAPI tries one route after the other, and works out anew for each request what its endpoint
needs: two milliseconds of a processor. Here both are looked up once. A request with anything
unusual in it goes FastAPI's own way, so that there is one way to refuse.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from inspect import iscoroutinefunction, isgeneratorfunction
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import RouteContext, iter_route_contexts
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

_PLAN = "strongroom.plan"
_UNUSUAL = (
    "cookie_params",
    "body_params",
    "websocket_param_name",
    "http_connection_param_name",
    "response_param_name",
    "background_tasks_param_name",
    "security_scopes_param_name",
)
_Call = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class _Text:
    """One piece of text that a call is given."""

    argument: str
    place: str  # path | query | header
    name: str  # as it is sent
    field: Any  # FastAPI's, which checks it
    is_checked: bool

    def read(self, received: Mapping[str, Mapping[str, str]]) -> str | None:
        """None where only FastAPI knows what to answer."""
        found = received[self.place].get(self.name)
        if found is None:
            default = None if self.field.field_info.is_required() else self.field.default
            return default if isinstance(default, str) else None
        if self.is_checked and self.field.validate(found, {}, loc=())[1]:
            return None
        return found


@dataclass(frozen=True, slots=True)
class _Step:
    """One call, and where its arguments come from: text, earlier steps by number, the request."""

    call: _Call
    texts: tuple[_Text, ...]
    earlier: tuple[tuple[str, int], ...]
    request: str | None


@dataclass(frozen=True, slots=True)
class _Plan:
    """The steps of a route: the last is its endpoint, those before it never leave the loop."""

    steps: tuple[_Step, ...]
    waits: bool  # the endpoint is a coroutine function
    whole: Callable[[Scope, Receive, Send], Awaitable[None]]  # FastAPI's own way

    def texts(self, request: Request) -> list[dict[str, Any]] | None:
        """What each step is given of the request; None when there is anything unusual."""
        received = {
            "path": request.path_params,
            "query": request.query_params,
            "header": request.headers,
        }
        given = []
        for step in self.steps:
            found = {text.argument: text.read(received) for text in step.texts}
            if None in found.values():
                return None
            given.append(found)
        return given

    async def answer(self, request: Request, given: list[dict[str, Any]]) -> Response:
        """Every step, each with what it needs of those before it."""
        results: list[Any] = []
        for step, values in zip(self.steps, given, strict=True):
            values.update((name, results[number]) for name, number in step.earlier)
            if step.request is not None:
                values[step.request] = request
            if step is not self.steps[-1]:
                results.append(await step.call(**values))
        endpoint = self.steps[-1].call
        if self.waits:
            told = await endpoint(**given[-1])
        else:
            told = await run_in_threadpool(endpoint, **given[-1])
        if isinstance(told, Response):
            return told
        return Response(msgspec.json.encode(told), media_type="application/json")


class KnownRoutes(BaseRoute):
    """Stands before all others, and takes what it knows: by method and number of segments."""

    def __init__(self, routes: Iterable[RouteContext]) -> None:
        self._found: dict[tuple[str, int], list[tuple[RouteContext, _Plan | None]]]
        self._found = defaultdict(list)
        anywhere: list[RouteContext] = []
        for route in routes:
            if ":path}" in (route.path or ""):
                anywhere.append(route)
                continue
            plan = _planned(route)
            for method in route.methods or ():
                self._found[method, (route.path or "").count("/")].append((route, plan))
        # What matches any number of segments is FastAPI's, wherever it stands among the others.
        self._anywhere = [route.path_regex for route in anywhere]

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """The first route that FastAPI would take too, if there is a plan for it."""
        path = scope["path"]
        if scope["type"] != "http" or any(regex.match(path) for regex in self._anywhere):
            return Match.NONE, {}
        for route, plan in self._found.get((scope["method"], path.count("/")), ()):
            found = route.path_regex.match(path)
            if found is not None:
                if plan is None:
                    break
                told = {"endpoint": route.endpoint, "route": route.original_route}
                return Match.FULL, {**told, "path_params": found.groupdict(), _PLAN: plan}
        return Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer by the plan."""
        plan: _Plan = scope[_PLAN]
        request = Request(scope, receive, send)
        given = plan.texts(request)
        if given is None:
            await plan.whole(scope, receive, send)
            return
        response = await plan.answer(request, given)
        await response(scope, receive, send)


def install(app: FastAPI) -> None:
    """After the last route."""
    app.router.routes.insert(0, KnownRoutes(iter_route_contexts(app.router.routes)))


def _planned(route: RouteContext) -> _Plan | None:
    """None for a route that asks for more than text, or answers in a way of its own."""
    dependant: Dependant | None = getattr(route, "dependant", None)
    if dependant is None or route.body_field is not None or route.status_code is not None:
        return None
    steps: list[_Step] = []
    if not _add(dependant, steps, {}):
        return None
    *before, endpoint = steps
    if not all(iscoroutinefunction(step.call) for step in before):
        return None
    return _Plan(tuple(steps), iscoroutinefunction(endpoint.call), route.app)


def _add(dependant: Dependant, steps: list[_Step], numbers: dict[_Call, int]) -> bool:
    """Those that it depends on, each once, then itself; False when one of them is unusual."""
    call = dependant.call
    if call is None or any(getattr(dependant, name) for name in _UNUSUAL):
        return False
    if isgeneratorfunction(call):
        return False
    for each in dependant.dependencies:
        if each.call not in numbers and not _add(each, steps, numbers):
            return False
    earlier = tuple(
        (each.name, numbers[each.call])
        for each in dependant.dependencies
        if each.name is not None and each.call is not None
    )
    texts = _texts(dependant)
    if texts is None:
        return False
    numbers[call] = len(steps)
    steps.append(_Step(call, texts, earlier, dependant.request_param_name))
    return True


def _texts(dependant: Dependant) -> tuple[_Text, ...] | None:
    texts = []
    for place in ("path", "query", "header"):
        for field in getattr(dependant, f"{place}_params"):
            info = field.field_info
            if info.annotation is not str:
                return None
            name = field.validation_alias or field.alias
            if place == "header" and name == field.name:
                name = name.replace("_", "-")
            texts.append(_Text(field.name, place, name, field, bool(info.metadata)))
    return tuple(texts)
