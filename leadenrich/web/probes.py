"""/healthz, /readyz and /metrics: for load balancers, systemd's friends and Prometheus."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
from aiohttp import web

from leadenrich.config import ServerSettings
from leadenrich.telemetry.health import Health
from leadenrich.web.access import Access
from leadenrich.web.problems import Refused, problem

METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class Probes:
    """The three probes. /metrics follows `server.metrics`; `configure` may be called while it serves."""

    def __init__(
        self, health: Health, render_metrics: Callable[[], bytes], access: Access, server: ServerSettings
    ) -> None:
        self._health = health
        self._render = render_metrics
        self._access = access
        self.configure(server)

    def configure(self, server: ServerSettings) -> None:
        self._metrics = server.metrics

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/healthz", self.healthz),
            web.get("/readyz", self.readyz),
            web.get("/metrics", self.metrics),
        ]

    async def healthz(self, request: web.Request) -> web.Response:
        """Alive: the loop runs. Says nothing about Redis or the vendors."""
        return web.Response(body=b'{"alive":true}', content_type="application/json")

    async def readyz(self, request: web.Request) -> web.Response:
        report = await self._health.fresh_report()
        if report.ready:
            return web.Response(body=msgspec.json.encode(report), content_type="application/json")
        return problem(503, report.trouble, members=msgspec.to_builtins(report))

    async def metrics(self, request: web.Request) -> web.Response:
        if self._metrics == "off":
            raise Refused(404, "Metrics are switched off (server.metrics).")
        if self._metrics == "token":
            await self._access.role(request)
        return web.Response(body=self._render(), headers={"Content-Type": METRICS_TYPE})
