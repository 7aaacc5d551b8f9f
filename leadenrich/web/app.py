"""The aiohttp application: routes, and what every answer has in common."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import msgspec
import structlog
from aiohttp import web

from leadenrich.config import GhlSettings, QueueSettings, ServerSettings
from leadenrich.store.feed import Feed
from leadenrich.telemetry.health import Health
from leadenrich.web.access import Access, Brake
from leadenrich.web.actions import Actions
from leadenrich.web.api import Api
from leadenrich.web.connection import Hush, Limits, hang_up
from leadenrich.web.dashboard import Dashboard
from leadenrich.web.door import OnReceipt, log_receipt
from leadenrich.web.events import Events
from leadenrich.web.json_answer import HEADERS
from leadenrich.web.leads import LeadsDoor
from leadenrich.web.openapi import document
from leadenrich.web.ports import Finding, Intake, Operations, Views
from leadenrich.web.probes import Probes
from leadenrich.web.problems import Refused, problem, problem_of
from leadenrich.web.server import CannotListen, WebServer
from leadenrich.web.webhook import WebhookDoor

__all__ = ["CannotListen", "Limits", "WebParts", "WebServer", "create_app", "create_probe_app", "reconfigure"]

OnAnswer: TypeAlias = Callable[[str, int, float], None]
Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

_log: Final = structlog.get_logger(__name__)
_DOOR: Final = web.AppKey("door", WebhookDoor)
_LEADS: Final = web.AppKey("leads", LeadsDoor)
_ACCESS: Final = web.AppKey("access", Access)
_EVENTS: Final = web.AppKey("events", Events)
_PROBES: Final = web.AppKey("probes", Probes)


def _uncounted(route: str, status: int, seconds: float) -> None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class WebParts:
    """What the web half is made of; the daemon fills it in.

    `on_answer` hears of every answer: the route's pattern (`/api/v1/jobs/{id}`, or `unmatched`), status and seconds.
    """

    server: ServerSettings
    ghl: GhlSettings
    queue: QueueSettings
    intake: Intake
    views: Views
    operations: Operations
    finding: Finding
    feed: Feed
    health: Health
    render_metrics: Callable[[], bytes]
    on_receipt: OnReceipt = log_receipt
    on_answer: OnAnswer = _uncounted
    limits: Limits = field(default_factory=Limits)


def create_app(parts: WebParts) -> web.Application:
    """The whole web half. Raises: ValueError, when one of `ghl.public_keys` is no Ed25519 key."""
    door = WebhookDoor(
        parts.intake,
        parts.ghl,
        parts.queue,
        bytes_max=parts.server.max_body_bytes,
        body_s=parts.limits.body_s,
        on_receipt=parts.on_receipt,
    )
    access = Access(parts.server, brake=Brake(parts.limits.log_in_s))
    probes = Probes(parts.health, parts.render_metrics, access, parts.server)
    leads = LeadsDoor(
        parts.intake,
        access,
        parts.ghl,
        parts.queue,
        bytes_max=parts.server.max_body_bytes,
        body_s=parts.limits.body_s,
        on_receipt=parts.on_receipt,
    )
    app = _bare_app(parts.on_answer)
    app.router.add_post("/webhooks/ghl", door.signed)
    app.router.add_post("/webhooks/ghl/workflow", door.workflow)
    app.router.add_post("/api/v1/leads", leads.post)
    app.add_routes(probes.routes())
    app.add_routes(Api(parts.views, access).routes())
    events = Events(parts.feed, access)
    app.add_routes(events.routes())
    app.on_shutdown.append(events.close)
    app.add_routes(Actions(parts.operations, parts.views, access, body_s=parts.limits.body_s).routes())
    pages = Dashboard(
        parts.views, parts.finding, parts.operations, parts.feed, access, parts.health, body_s=parts.limits.body_s
    )
    app.add_routes(pages.routes())
    _describe(app)
    app[_DOOR], app[_LEADS], app[_ACCESS], app[_EVENTS], app[_PROBES] = door, leads, access, events, probes
    return app


def create_probe_app(
    server: ServerSettings, health: Health, render_metrics: Callable[[], bytes], *, on_answer: OnAnswer = _uncounted
) -> web.Application:
    """Only /healthz, /readyz and /metrics: for `worker.listen` of a daemon without a web half."""
    app = _bare_app(on_answer)
    app.add_routes(Probes(health, render_metrics, Access(server), server).routes())
    return app


def reconfigure(app: web.Application, server: ServerSettings, ghl: GhlSettings, queue: QueueSettings) -> None:
    """Take new keys, tokens, locations and windows while serving: all, or none when it raises ValueError."""
    app[_DOOR].configure(ghl, queue)  # the one that can refuse comes first
    app[_LEADS].configure(ghl, queue)
    app[_ACCESS].configure(server)
    app[_EVENTS].hang_up()  # whose token ended may not listen on
    app[_PROBES].configure(server)


def _describe(app: web.Application) -> None:
    """GET /openapi.json. Open to everybody: it tells what every copy of this program does, and nothing of this one."""
    told: list[bytes] = []

    async def described(request: web.Request) -> web.Response:
        if not told:  # made when it is first asked for: no start waits for it
            told.append(msgspec.json.format(msgspec.json.encode(document(app.router.routes())), indent=1))
        return web.Response(body=told[0], content_type="application/json")

    app.router.add_get("/openapi.json", described)


def _bare_app(on_answer: OnAnswer) -> web.Application:
    hush = Hush()

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        """Every error becomes a problem, here and nowhere else; every answer is counted."""
        began = time.monotonic()
        try:
            response = await handler(request)
        except Refused as refused:
            response = problem(refused.status, str(refused), refused.headers)
            if refused.close:
                hang_up(request, response)
            if refused.status in (401, 403):
                hush.warn("request_refused", route=_route(request), status=refused.status, why=refused.detail)
        except web.HTTPException as refusal:
            response = problem_of(refusal)
        except Exception:
            if request.transport is None:
                raise  # the client is gone: nobody to answer, nothing to count
            # The last line: the client gets an answer, the log the stack.
            _log.exception("request_failed", route=_route(request))
            response = problem(500, "Something went wrong on our side.")
        on_answer(_route(request), response.status, time.monotonic() - began)
        return response

    app = web.Application(middlewares=[answer])
    app.on_response_prepare.append(_dress)
    return app


def _route(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unmatched"


async def _dress(request: web.Request, response: web.StreamResponse) -> None:
    """Headers of every answer; a page brings its own policy."""
    headers = response.headers
    headers["Server"] = HEADERS["Server"]  # aiohttp's own name stands there already
    for name, value in HEADERS.items():
        headers.setdefault(name, value)
