"""What both fake vendors share: every call is noted, a fault may take it, and `/_sandbox` lets an operator play."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, ClassVar, cast

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from leadenrich.core.lead import Json
from leadenrich.sandbox.calls import Call
from leadenrich.sandbox.faults import Armed, Faults, Match, read_order
from leadenrich.sandbox.mischief import Dropped, carry_out

SHOWN_CALLS = 200  # that GET /_sandbox/calls answers by default


class FakeVendor:
    """Base of the fakes. A vendor adds its routes, its words for no, and the headers of all its answers."""

    name: ClassVar[str]

    def __init__(self, faults: Faults | None = None, *, keep_calls: int = 20_000) -> None:
        self.faults = faults if faults is not None else Faults()
        self.calls: list[Call] = []  # the newest, at least the last `keep_calls`
        self._keep_calls = keep_calls
        self._closing = asyncio.Event()

    def application(self, middlewares: Sequence[Middleware] = ()) -> web.Application:
        """The aiohttp application; `middlewares` see each request first and each answer last."""
        app = web.Application(middlewares=[*middlewares, self._front()], client_max_size=4 * 1024 * 1024)
        app.router.add_get("/_sandbox/calls", self._show_calls)
        app.router.add_get("/_sandbox/faults", self._show_faults)
        app.router.add_post("/_sandbox/faults", self._order_fault)
        app.router.add_delete("/_sandbox/faults", self._clear_faults)
        self.add_routes(app.router)
        app.on_shutdown.append(self._close)
        return app

    # What a vendor says for itself.

    def add_routes(self, router: web.UrlDispatcher) -> None:
        raise NotImplementedError

    def refuse(self, status: int, message: str = "") -> web.Response:
        """The vendor's own error shape; an empty message means its usual words."""
        raise NotImplementedError

    def daily_spent(self) -> web.Response:
        raise NotImplementedError

    def decorate(self, response: web.StreamResponse, request: web.Request) -> None:
        """Set the headers that every answer carries."""

    def describe(self, call: Call, request: web.Request) -> None:
        """Fill in what only the vendor can read out of a request: address, contact, location."""

    async def pause(self, seconds: float) -> None:
        """Wait, but not beyond the vendor's closing. 0: until it closes."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds or None)

    # The way of every call.

    def _front(self) -> Middleware:
        @web.middleware
        async def front(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.path.startswith("/_sandbox/"):
                return await handler(request)
            call = await self._arrived(request)

            async def answer() -> web.StreamResponse:
                try:
                    return await handler(request)
                except (web.HTTPNotFound, web.HTTPMethodNotAllowed):
                    return self.refuse(404, f"Cannot {request.method} {request.path}")

            fault = self.faults.take(call)
            response = await (answer() if fault is None else carry_out(fault, request, self, answer))
            if not isinstance(response, Dropped):
                call.status = response.status
                if not response.prepared:
                    self.decorate(response, request)
            return response

        return front

    async def _arrived(self, request: web.Request) -> Call:
        arrived_at = time.monotonic()
        call = Call(arrived_at, self.name, request.method, request.path, dict(request.query))
        call.body = parsed(await request.read())
        self.describe(call, request)
        self.calls.append(call)
        if len(self.calls) > 2 * self._keep_calls:
            del self.calls[: -self._keep_calls]
        return call

    async def _close(self, _app: web.Application) -> None:
        self._closing.set()

    # The operator's side.

    async def _show_calls(self, request: web.Request) -> web.Response:
        limit = request.query.get("limit", "")
        newest = self.calls[-(int(limit) if limit.isdecimal() and int(limit) else SHOWN_CALLS) :]
        return as_json({"calls": [cast("Json", msgspec.to_builtins(call)) for call in newest]})

    async def _show_faults(self, _request: web.Request) -> web.Response:
        return as_json({"faults": [_shown(armed) for armed in self.faults.armed_for(self.name)]})

    async def _order_fault(self, request: web.Request) -> web.Response:
        try:
            order = read_order(await request.read(), self.name)
        except ValueError as error:
            return as_json({"error": str(error)}, status=400)
        return as_json(_shown(self.faults.order(order)), status=201)

    async def _clear_faults(self, _request: web.Request) -> web.Response:
        return as_json({"cleared": self.faults.clear(self.name)})


def as_json(body: Any, *, status: int = 200, content_type: str = "application/json") -> web.Response:
    """A JSON answer. Both vendors label some of theirs `text/plain`, hence the parameter."""
    return web.Response(status=status, body=msgspec.json.encode(body), content_type=content_type)


def parsed(raw: bytes) -> Json:
    """The body as JSON, None where it is none."""
    try:
        return cast("Json", msgspec.json.decode(raw)) if raw else None
    except (msgspec.MsgspecError, RecursionError):
        return None


def _shown(armed: Armed) -> Json:
    shown = cast("dict[str, Json]", msgspec.to_builtins(armed.fault))
    match = msgspec.to_builtins(armed.match) if isinstance(armed.match, Match) else "a predicate"
    return {**shown, "times": armed.left, "after": armed.after, "fired": armed.fired, "match": cast("Json", match)}
