"""Somebody else's web site, and a form on it that goes to the daemon."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from browser.chromium import Visitor

FORM = "<form id=f method=post action=\"{action}\" enctype=\"{kind}\"><input name='{name}' value='{value}'></form>"
# By its address: of another origin on the same host, where browsers send the cookie all the same; of another site.
HOSTS = ("127.0.0.1", "evil.example")


class OtherSite:
    """Serves whatever a test wants it to, under any name."""

    def __init__(self) -> None:
        self.html = ""
        self.port = 0

    async def page(self, _request: web.Request) -> web.Response:
        return web.Response(text=f"<!doctype html><title>other</title>{self.html}", content_type="text/html")

    def url(self, host: str) -> str:
        return f"http://{host}:{self.port}/"


@asynccontextmanager
async def other_site() -> AsyncIterator[OtherSite]:
    site = OtherSite()
    app = web.Application()
    app.router.add_get("/", site.page)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        site.port = runner.addresses[0][1]
        yield site
    finally:
        await runner.cleanup()


async def send_form(
    visitor: Visitor,
    other: OtherSite,
    host: str,
    path: str,
    member: tuple[str, str],
    kind: str = "application/x-www-form-urlencoded",
) -> tuple[int, str]:
    """A page of the other site posts a form to the daemon; status and body of the answer."""
    name, value = member
    other.html = FORM.format(action=visitor.url + path, kind=kind, name=name, value=value)
    await visitor.page.goto(other.url(host))
    async with visitor.page.expect_navigation() as navigation:
        await visitor.page.evaluate("document.getElementById('f').submit()")
    answer = await navigation.value
    assert answer is not None
    assert answer.url == visitor.url + path
    return answer.status, await answer.text()
