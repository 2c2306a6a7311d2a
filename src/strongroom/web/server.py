"""The control plane's doors, one process: https for everybody, http on loopback for this host."""

import asyncio
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from anyio import to_thread
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from strongroom.connections import Loop, allow_many_files, bounded
from strongroom.control.basis.control import Control
from strongroom.model.errors import Precondition
from strongroom.web import agents, known_routes
from strongroom.web.api import (
    access,
    approvals,
    audit,
    deleted_vaults,
    deletions,
    discovery,
    drills,
    errors,
    garbage,
    guards,
    health,
    holds,
    instances,
    issuers,
    job_exports,
    jobs,
    keys,
    long_running,
    long_term,
    metrics,
    openapi,
    policies,
    principals,
    protection_states,
    repairs,
    resource_graph,
    resource_groups,
    restorable_ranges,
    secondary,
    servers,
    storage_findings,
    subscriptions,
    tokens,
    vaults,
    verifications,
    wal_timeline,
)
from strongroom.web.api.canonical import ArmManners
from strongroom.web.api.door import Gate
from strongroom.web.api.foreign_tokens import ForeignTokens
from strongroom.web.api.tokens import TokenAuthority
from strongroom.web.pace import Pace
from strongroom.web.portal import issuer, pages
from strongroom.web.portal.door import failed
from strongroom.web.refusals import Refusals

_HANG_UP_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class DoorSettings:
    """With which certificate to listen; what signs access tokens, as PEM."""

    token_key: bytes = field(repr=False)
    certificate: Path
    key: Path


def create_app(control: Control, settings: DoorSettings) -> FastAPI:
    """Every route over one set of use cases."""
    manners: dict[str, Any] = {"docs_url": None, "redoc_url": None, "redirect_slashes": False}
    app = FastAPI(title="strongroom", version="2026-06-01", **manners)
    app.state.control = control
    app.state.run = run_in_threadpool
    app.state.authority = TokenAuthority(settings.token_key, control.installation)
    app.state.foreign = ForeignTokens(control, app.state.run)
    app.state.sign_in_file = settings.certificate.with_name(issuer.FILE)
    app.state.pace = Pace(control.clock)
    app.state.refusals = Refusals(control.clock)
    errors.install(app, app.state.authority.challenge, failed)
    for router in (
        health.router,
        metrics.router,
        pages.router,
        agents.router,
        tokens.router,
        long_running.router,
        subscriptions.router,
        resource_groups.router,
        resource_graph.router,
        discovery.router,
        vaults.router,
        policies.router,
        instances.router,
        repairs.router,
        restorable_ranges.router,
        wal_timeline.router,
        protection_states.router,
        deletions.router,
        deleted_vaults.router,
        holds.router,
        garbage.router,
        keys.router,
        secondary.router,
        storage_findings.router,
        verifications.router,
        drills.router,
        jobs.router,
        job_exports.router,
        servers.router,
        long_term.router,
        access.router,
        audit.router,
        guards.router,
        approvals.router,
        principals.router,
        issuers.router,
    ):
        app.router.routes.extend(router.routes)  # to include it would make each anew
    openapi.complete(app)
    known_routes.install(app)
    app.router.routes.insert(0, Gate())
    app.add_middleware(ArmManners, chance=control.chance)
    return app


def listen(host: str, port: int) -> socket.socket:
    """A bound socket; port 0 takes a free one. Precondition when it cannot be had."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # Without its protocol asyncio leaves Nagle's algorithm on: 40 ms for each small answer.
        found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
    except OSError as error:
        raise Precondition(
            f"the control plane cannot listen on {host} port {port}: {error.strerror}",
            hint="choose another port, or an address of this machine with --host",
        ) from error
    return found


def serve(
    app: FastAPI,
    settings: DoorSettings,
    sockets: tuple[socket.socket, socket.socket],
    on_ready: Callable[[], None],
) -> None:
    """Answer on both sockets (https, http) until SIGTERM, then drain for at most ten seconds."""
    control: Control = app.state.control
    common: dict[str, Any] = {
        "log_config": None,
        "access_log": False,
        "timeout_graceful_shutdown": 10,
        "lifespan": "off",
        "server_header": False,
        "http": bounded(allow_many_files()),
        "ws": "none",
    }
    secure = uvicorn.Config(
        app, ssl_certfile=settings.certificate, ssl_keyfile=settings.key, **common
    )
    plain = uvicorn.Config(app, **common)
    doors = [uvicorn.Server(secure), uvicorn.Server(plain)]
    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(_serve(doors, sockets, on_ready, control))


def _connections(doors: list[uvicorn.Server]) -> list[Any]:
    return [found for door in doors for found in door.server_state.connections]


async def _serve(
    doors: list[uvicorn.Server],
    sockets: tuple[socket.socket, socket.socket],
    on_ready: Callable[[], None],
    control: Control,
) -> None:
    loop = asyncio.get_running_loop()
    to_thread.current_default_thread_limiter().total_tokens = control.database.side_by_side

    def stop() -> None:
        control.stopping.set()
        for door in doors:
            door.should_exit = True
        loop.call_later(_HANG_UP_SECONDS, hang_up, set())

    def hang_up(before: set[Any]) -> None:
        """An idle TLS client may never answer our goodbye: whoever was closing before is cut."""
        closing = {c for c in _connections(doors) if c.transport.is_closing()}
        for connection in closing & before:
            connection.transport.abort()
        loop.call_later(_HANG_UP_SECONDS, hang_up, closing)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    running = [
        asyncio.create_task(door._serve([opened]))  # noqa: SLF001 - serve() takes the signals
        for door, opened in zip(doors, sockets, strict=True)
    ]
    while not all(door.started for door in doors):
        if any(task.done() for task in running):
            break
        await asyncio.sleep(0.02)
    else:
        if not control.stopping.is_set():  # the doors may have closed their sockets
            on_ready()
    await asyncio.gather(*running)
