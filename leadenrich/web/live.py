"""`GET /live`: tells an open page that something changed, at most once a second, so that it fetches itself again."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import Final

from aiohttp import web

from leadenrich.store.errors import StoreUnavailable
from leadenrich.store.feed import Feed, Listener, Told, TooManyListeners
from leadenrich.web.access import Access
from leadenrich.web.api import JOB_ID, away
from leadenrich.web.problems import Refused

EVERY_S: Final = 1.0  # between two calls to fetch the page again, whatever happens
LEAST_S: Final = 15.0  # ages and charts move on without an event; and proxies end what is silent for longer
_CHANGED: Final = b"event: news\ndata:\n\n"


class Live:
    """The stream behind a page. It says `news` when it begins too: what happened since the page was made."""

    def __init__(self, feed: Feed, access: Access) -> None:
        self._feed = feed
        self._access = access

    async def live(self, request: web.Request) -> web.StreamResponse:
        """With `?job=ID` only what concerns that job. Raises: Refused 400, 401, 403, 503."""
        await self._access.role(request)
        job_id = request.query.get("job", "")
        if job_id and not JOB_ID.fullmatch(job_id):
            raise Refused(400, "job must be a job's id.")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
        try:
            async with self._feed.listen(lambda: _cut(request)) as listener:
                await response.prepare(request)
                with contextlib.suppress(ConnectionError):  # the reader is gone
                    await _tell(request, response, listener, job_id)
        except TooManyListeners:
            raise Refused(503, "Too many pages are open; come back later.", headers={"Retry-After": "5"}) from None
        except StoreUnavailable:
            if not response.prepared:
                raise away() from None
        return response


async def _tell(request: web.Request, response: web.StreamResponse, listener: Listener, job_id: str) -> None:
    """Raises: ConnectionError."""
    told_at, changed = float("-inf"), True
    while True:
        rest_s = EVERY_S - (time.monotonic() - told_at)
        if (changed and rest_s <= 0) or rest_s <= EVERY_S - LEAST_S:
            await response.write(_CHANGED)
            told_at, changed, rest_s = time.monotonic(), False, EVERY_S
        news = await listener.next(rest_s if changed else EVERY_S)
        if news is None or request.transport is None or request.transport.is_closing():
            return
        changed = changed or _concerns(news, job_id)


def _concerns(news: Sequence[Told], job_id: str) -> bool:
    if not job_id:
        return bool(news)
    sign = f'"job_id":"{job_id}"'.encode()
    return any(sign in told.data for told in news)


def _cut(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
