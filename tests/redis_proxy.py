"""A TCP proxy between a daemon and its Redis that misbehaves on order: late, trickling, cut, half open."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import StrEnum
from urllib.parse import urlsplit


class Way(StrEnum):
    """How bytes travel at present."""

    STRAIGHT = "straight"
    LATE = "late"  # each answer `late_s` later
    TRICKLE = "trickle"  # answers a few bytes at a time
    CUT_BEFORE = "cut before"  # the connection is closed when a request comes: Redis never sees it
    CUT_AFTER = "cut after"  # Redis gets the request, the connection is closed before the answer
    SWALLOW = "swallow"  # half open: nothing arrives any more, in either direction, and nobody is told
    REFUSE = "refuse"  # no connection stands and none is taken


TRICKLE_BYTES, TRICKLE_S = 7, 0.002


class RedisProxy:
    """Listens on a port of its own. What was swallowed is never delivered: its connections are dead for good."""

    def __init__(self, upstream: str) -> None:
        address = urlsplit(upstream)
        self._host, self._port = address.hostname or "", address.port or 0
        self._way = Way.STRAIGHT
        self.late_s = 0.3
        self.rewrite: Callable[[bytes], bytes] = lambda answer: answer  # to as many bytes
        self.accepted = 0
        self.harmed = 0
        self._links: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/0"

    def go(self, way: Way) -> None:
        """From now on; connections that were swallowed or refused before do not come back to life."""
        self._way = way
        if way is Way.REFUSE:
            for link in self._links:
                self.harmed += 1
                link.cancel()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        for link in self._links:
            link.cancel()
        if self._links:
            await asyncio.wait(self._links)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = asyncio.create_task(self._link(reader, writer), name="proxy-link")
        self._links.add(link)
        link.add_done_callback(self._links.discard)

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        try:
            if self._way is Way.REFUSE:
                self.harmed += 1
                return
            self.accepted += 1
            redis_reader, redis_writer = await asyncio.open_connection(self._host, self._port)
            writers.append(redis_writer)
            there = asyncio.create_task(self._requests(reader, redis_writer), name="proxy-requests")
            back = asyncio.create_task(self._answers(redis_reader, writer), name="proxy-answers")
            try:
                await asyncio.wait([there, back], return_when=asyncio.FIRST_COMPLETED)
            finally:
                there.cancel()
                back.cancel()
                await asyncio.wait([there, back])
        except OSError:
            pass
        finally:
            for each in writers:
                each.transport.abort()

    async def _requests(self, reader: asyncio.StreamReader, redis: asyncio.StreamWriter) -> None:
        """Ends where the connection shall be closed."""
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                if self._way is Way.CUT_BEFORE:
                    self.harmed += 1
                    return
                if self._way is Way.SWALLOW:
                    await self._swallow()
                redis.write(data)
                await redis.drain()

    async def _answers(self, redis: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Ends where the connection shall be closed."""
        with contextlib.suppress(OSError):
            while data := await redis.read(65_536):
                if self._way is Way.CUT_AFTER:
                    self.harmed += 1
                    return
                if self._way is Way.SWALLOW:
                    await self._swallow()
                if self._way is Way.LATE:
                    self.harmed += 1
                    await asyncio.sleep(self.late_s)
                await self._pass_on(self.rewrite(data), writer)

    async def _pass_on(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        size = TRICKLE_BYTES if self._way is Way.TRICKLE else len(data)
        self.harmed += self._way is Way.TRICKLE
        for at in range(0, len(data), size):
            writer.write(data[at : at + size])
            await writer.drain()
            if size < len(data):
                await asyncio.sleep(TRICKLE_S)

    async def _swallow(self) -> None:
        self.harmed += 1
        await asyncio.get_running_loop().create_future()


@asynccontextmanager
async def proxy_to(upstream: str) -> AsyncIterator[RedisProxy]:
    proxy = RedisProxy(upstream)
    await proxy.open()
    try:
        yield proxy
    finally:
        await proxy.close()
