"""A connection that asks the fast path first, beside aiohttp's own handling of requests.

aiohttp's handling waits for `_waiter`, a future that is done when a message came. Whoever takes it away keeps that
handling, the keep-alive's timer and the shutdown off this connection: so requests stay in their row, one at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

from aiohttp import StreamReader, web
from aiohttp.http_parser import RawRequestMessage

from leadenrich.web.connection import Connection, Hush, Limits
from leadenrich.web.fast_path import FastPath


class FastConnection(Connection):
    """What the fast path does not take goes aiohttp's way, untouched."""

    __slots__ = ("_fast_path", "_in_work")

    def __init__(self, server: web.Server, limits: Limits, hush: Hush, fast_path: FastPath) -> None:
        super().__init__(server, limits, hush)
        self._fast_path = fast_path
        self._in_work: asyncio.Task[None] | None = None  # a request on the fast path

    def data_received(self, data: bytes) -> None:
        waiter, self._waiter = self._waiter, None
        try:
            super().data_received(data)
        finally:
            self._waiter = waiter
        if waiter is not None and self._messages and not waiter.done():
            self._go_on(waiter)

    def _go_on(self, waiter: asyncio.Future[None]) -> None:
        """The first of what came goes the fast path, or aiohttp's way with all that came with it."""
        message, payload = self._messages[0]
        # What could not be parsed is of another type.
        if not isinstance(message, RawRequestMessage) or not self._fast_path.fits(message, payload):
            waiter.set_result(None)
            return
        self._waiter = None
        body = payload.read_nowait()
        answer = self._fast_path.judge(message, body)
        self._messages.popleft()
        if answer is None:
            self._hand_over(waiter, message, body)
            return
        assert self._manager is not None
        assert self._parser is not None
        self._parser.message_consumed()
        if self._buffer_paused and len(self._messages) <= self._msg_queue_resume_size:
            self._resume_reading_if_drained()
        self._manager.requests_count += 1
        self._request_in_progress = True
        self._in_work = self._loop.create_task(self._answer(answer, waiter, message, body))

    def _hand_over(self, waiter: asyncio.Future[None], message: RawRequestMessage, body: bytes) -> None:
        """A request whose body was read goes aiohttp's way."""
        payload = StreamReader(self, limit=max(1, len(body)), loop=self._loop)
        payload.feed_data(body)
        payload.feed_eof()
        self._messages.appendleft((message, payload))
        self._waiter = waiter
        if not waiter.done():
            waiter.set_result(None)

    async def _answer(
        self,
        answer: Coroutine[Any, Any, bytes],
        waiter: asyncio.Future[None],
        message: RawRequestMessage,
        body: bytes,
    ) -> None:
        try:
            told = await answer
        except Exception:  # noqa: BLE001  a mistake of ours: aiohttp's way meets it again, and tells it
            self._hand_over(waiter, message, body)
            return
        finally:
            self._request_in_progress = False
            if self._handler_waiter is not None:  # the shutdown waits for us
                self._handler_waiter.set_result(None)
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(told)
            if self.writing_paused:  # a client that does not read its answers gets no more of them
                with contextlib.suppress(ConnectionError):
                    await self._drain_helper()
        self._rest(waiter)

    def _rest(self, waiter: asyncio.Future[None]) -> None:
        """Wait for the next request, or take the one that is there already."""
        self._waiter = waiter
        if self._close or self._force_close or self.transport is None:
            waiter.cancel()
            if self.transport is not None:
                self.transport.close()
            return
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        if self._keepalive_handle is None:
            self._keepalive_handle = self._loop.call_at(self._next_keepalive_close_time, self._process_keepalive)
        if self._messages and not waiter.done():
            self._go_on(waiter)

    async def shutdown(self, timeout: float | None = 15.0) -> None:  # noqa: ASYNC109  aiohttp's name
        await super().shutdown(timeout)
        if self._in_work is not None:
            self._in_work.cancel()
