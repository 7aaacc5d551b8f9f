"""`GET /api/v1/events`: what happens, while it happens, as Server-Sent Events (WHATWG HTML, 9.2)."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from aiohttp import web
from msgspec import Meta

from leadenrich.store.errors import StoreUnavailable
from leadenrich.store.feed import EVENT_ID, LISTENERS_MAX, Feed, Listener, LiveEvent, Told, TooManyListeners
from leadenrich.store.job_list import Moment
from leadenrich.web.access import Access
from leadenrich.web.api import away
from leadenrich.web.openapi import EVENT_STREAM, LOOKS, REFUSED_LOOK, Answer, operation
from leadenrich.web.payload import clean
from leadenrich.web.problems import Refused
from leadenrich.web.query import query_of

HEARTBEAT_S: Final = 15.0  # proxies end a connection that is silent for longer, 30 or 60 s
GONE_S: Final = 1.0  # until a reader that hung up is noticed, and another one may come
_HELLO: Final = b"retry: 2000\n\n"  # ms until a browser comes back
_HEARTBEAT: Final = b": nothing new\n\n"


class EventsQuery(msgspec.Struct):
    """Where to begin."""

    since: Annotated[
        str | None,
        Meta(
            description="The id of the last event that is known, or a time (RFC 3339): what came after it and is still "
            "there comes first. Without it, and without Last-Event-ID, only what is new comes.",
            examples=["2026-11-24T15:00:00Z", "1795532400000-0.0"],
            extra_json_schema={"oneOf": [{"pattern": f"^{EVENT_ID}$"}, {"format": "date-time"}]},
        ),
    ] = None


class LastEventHeader(msgspec.Struct):
    """Where a reader was cut off."""

    last: Annotated[
        str | None,
        Meta(
            description="The id of the last event that came, as browsers send it by themselves. It goes before since.",
            extra_json_schema={"pattern": f"^({EVENT_ID})?$"},  # an empty one is none (WHATWG HTML, 9.2.3)
        ),
    ] = msgspec.field(default=None, name="Last-Event-ID")


class Events:
    """The live events. `hang_up` ends those that are open, `close` does so for good."""

    def __init__(self, feed: Feed, access: Access) -> None:
        self._feed = feed
        self._access = access

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/api/v1/events", self.events, allow_head=False)]  # a head of what never ends would never come

    def hang_up(self) -> None:
        """For new tokens: each reader must show one again."""
        self._feed.hang_up()

    async def close(self, app: web.Application) -> None:
        await self._feed.close()

    @operation(
        summary="Tells what happens, live",
        description="Server-Sent Events: `id` sorts by time, `event` is the name, `data` a LiveEvent as JSON. The "
        "newest 2,000 entries of events can be asked for again. A comment comes every 15 s. A reader that falls 1,000 "
        "events behind is cut off, and comes back with Last-Event-ID. Among the names: queued, started, completed, "
        "retrying, failed, stalled, throttled, provider_paused, provider_resumed, removed.",
        tag="events",
        security=LOOKS,
        query=EventsQuery,
        headers=LastEventHeader,
        answers={200: Answer("The events, until one side ends it.", (LiveEvent,), media=EVENT_STREAM)},
        refuses=REFUSED_LOOK
        | {
            400: "since or Last-Event-ID is neither the id of an event nor a time.",
            503: f"Redis cannot be read now, or {LISTENERS_MAX} listen already.",
        },
    )
    async def events(self, request: web.Request) -> web.StreamResponse:
        await self._access.role(request)
        start = _start(request)
        response = web.StreamResponse(headers={"Content-Type": EVENT_STREAM, "X-Accel-Buffering": "no"})
        try:
            async with self._feed.listen(lambda: _cut(request)) as listener:
                await response.prepare(request)
                with contextlib.suppress(ConnectionError):  # the reader is gone, or was cut off
                    await self._tell(request, response, listener, start)
        except TooManyListeners:
            raise Refused(
                503, f"{LISTENERS_MAX} listen already; come back later.", headers={"Retry-After": "5"}
            ) from None
        except StoreUnavailable:
            if not response.prepared:
                raise away() from None
        return response

    async def _tell(self, request: web.Request, response: web.StreamResponse, listener: Listener, start: str) -> None:
        """Raises: ConnectionError, StoreUnavailable."""
        await response.write(_HELLO)
        if start:
            async for told in self._feed.since(start, listener.upto):
                await response.write(_frames(told))
        heard = time.monotonic()
        while (news := await listener.next(min(GONE_S, HEARTBEAT_S))) is not None:
            if request.transport is None or request.transport.is_closing():
                return
            if news or time.monotonic() - heard >= HEARTBEAT_S:
                await response.write(_frames(news) or _HEARTBEAT)
                heard = time.monotonic()


def _start(request: web.Request) -> str:
    """The id of an event, or of the first at a time; "" for only what is new. Raises: Refused 400."""
    since = _since(query_of(request, EventsQuery).since or "")
    last = clean(request.headers.get("Last-Event-ID"))
    if last and not re.fullmatch(EVENT_ID, last):
        raise Refused(400, "Last-Event-ID must be the id of an event.")
    return last or since


def _since(told: str) -> str:
    """Raises: Refused 400."""
    if not told or re.fullmatch(EVENT_ID, told):
        return told
    try:
        moment = msgspec.convert(told, Moment)
    except msgspec.ValidationError:
        wanted = "the id of an event, or a time with its zone: 2026-11-24T15:00:00Z"
        raise Refused(400, f"since must be {wanted}.") from None
    return f"{max(0, round(moment.timestamp() * 1000))}-0"


def _frames(told: Sequence[Told]) -> bytes:
    return b"".join(b"id: %b\nevent: %b\ndata: %b\n\n" % (it.id.encode(), it.event.encode(), it.data) for it in told)


def _cut(request: web.Request) -> None:
    """At once: what waits to be sent is what it does not read."""
    if request.transport is not None:
        request.transport.abort()
