"""The web half, wired to the store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from leadenrich.config import Config, split_listen
from leadenrich.daemon.reporter import Reporter
from leadenrich.providers.ghl import provider_name
from leadenrich.store.connection import Connection
from leadenrich.store.queue import Queue
from leadenrich.store.views import Views
from leadenrich.telemetry.health import Health
from leadenrich.telemetry.metrics import Metrics
from leadenrich.web.app import WebParts, create_app, create_probe_app, reconfigure
from leadenrich.web.server import WebServer


@dataclass(frozen=True, slots=True)
class WebHalf:
    """The server and where it listens."""

    server: WebServer
    url: str
    app: web.Application

    def reconfigure(self, config: Config) -> None:
        """Raises: ValueError, and then nothing was changed."""
        reconfigure(self.app, config.server, config.ghl, config.queue)


@asynccontextmanager
async def open_web(
    config: Config, connection: Connection, queue: Queue, *, metrics: Metrics, health: Health, report: Reporter
) -> AsyncIterator[WebHalf]:
    """Raises: CannotListen."""
    rates = {
        "realestateapi": config.realestateapi.rate_per_second,
        **{provider_name(location.id): config.ghl.requests_per_10s / 10 for location in config.ghl.locations},
    }
    app = create_app(
        WebParts(
            server=config.server,
            ghl=config.ghl,
            queue=config.queue,
            intake=queue,
            views=Views(connection, queue.keys, rates=rates),
            health=health,
            render_metrics=metrics.render,
            on_receipt=report.receipt,
            on_answer=lambda route, status: metrics.webhooks.labels(route=route, status=str(status)).inc(),
        )
    )
    async with WebServer(app, host=config.server.host, port=config.server.port) as server:
        yield WebHalf(server, server.url, app)


@asynccontextmanager
async def open_probe(config: Config, *, metrics: Metrics, health: Health) -> AsyncIterator[WebServer]:
    """/healthz, /readyz and /metrics of a worker half, on `worker.listen`. Raises: CannotListen."""
    host, port = split_listen(config.worker.listen or "")
    app = create_probe_app(config.server, health, metrics.render)
    async with WebServer(app, host=host, port=port) as server:
        yield server
