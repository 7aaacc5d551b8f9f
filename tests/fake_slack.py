"""Somebody who takes alerts: a webhook as Slack has them, that fails on order."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.test_utils import TestServer

from leadenrich.config import Secret

PATH = "/services/T000/B000/the-secret-of-the-webhook"


class FakeSlack:
    """Keeps the texts it took; `answers` are the statuses of the next posts, then 200."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.paths: list[str] = []
        self.answers: list[int] = []
        self.url = ""

    @property
    def secret(self) -> Secret:
        return Secret(self.url)

    async def post(self, request: web.Request) -> web.Response:
        self.paths.append(request.path_qs)
        status = self.answers.pop(0) if self.answers else 200
        if status == 200:
            assert request.content_type == "application/json"
            body = json.loads(await request.text())
            assert body.keys() == {"text"}
            self.texts.append(body["text"])
        return web.Response(status=status, text="ok" if status == 200 else "no")


@asynccontextmanager
async def taking_alerts() -> AsyncIterator[FakeSlack]:
    """One that listens on the loopback."""
    fake, app = FakeSlack(), web.Application()
    app.router.add_post("/{path:.*}", fake.post)
    async with TestServer(app, host="127.0.0.1") as server:
        fake.url = f"http://127.0.0.1:{server.port}{PATH}"
        yield fake
