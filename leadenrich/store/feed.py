"""The events stream, live: one reader of Redis for all in this process who listen, and none while nobody does."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NotRequired

import msgspec
import structlog

from leadenrich.core.times import iso
from leadenrich.store.connection import Connection
from leadenrich.store.errors import StoreUnavailable
from leadenrich.store.events import StoredEvent, events_of
from leadenrich.store.job_view import TimelineEntry
from leadenrich.store.schema import Keys

LOOK_S: Final = 0.2  # between two looks at Redis; a read that blocks would hold the workers' listening connection
RETRY_S: Final = 1.0  # while Redis is away
BUFFER: Final = 1_000  # events that a listener may be behind, besides those of the last read
LISTENERS_MAX: Final = 100
PART: Final = 200  # entries of the stream read at once

EVENT_ID: Final = r"[0-9]{1,16}-[0-9]{1,16}(\.[0-9]{1,4})?"

log = structlog.get_logger("leadenrich.store")


class LiveEvent(TimelineEntry):
    """One event as it is told live. Those of a provider or the queue have no job; an error's stack is at the job."""

    job_id: NotRequired[str]
    contact_id: NotRequired[str]
    location_id: NotRequired[str]
    lane: NotRequired[str]
    kind: NotRequired[str]


@dataclass(frozen=True, slots=True)
class Told:
    """An event, encoded once for all: `data` is a LiveEvent as JSON."""

    id: str
    event: str
    data: bytes


class TooManyListeners(Exception):
    """There are as many as there may be."""


class BadEventId(ValueError):
    """Not the id of an event."""


class Listener:
    """What one reader has not read yet. Who falls too far behind is dropped, and may come back with the last id."""

    def __init__(self, upto: str, on_drop: Callable[[], None]) -> None:
        self.upto = upto  # the last entry before the live ones
        self._on_drop = on_drop
        self._waiting: deque[Told] = deque()
        self._news = asyncio.Event()
        self._over = False

    async def next(self, timeout_s: float) -> list[Told] | None:
        """What came, an empty list when nothing did in time, None at the end."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._news.wait()
        if self._over:
            return None
        told = list(self._waiting)
        self._waiting.clear()
        self._news.clear()
        return told

    def hear(self, told: Sequence[Told]) -> None:
        """What one read brought, however much: in a storm that alone is more than a listener may be behind."""
        if len(self._waiting) > BUFFER:
            log.warning("listener_dropped", note=f"it was {BUFFER} events behind; it may resume by its last id")
            self.end()
            self._on_drop()
            return
        self._waiting.extend(told)
        self._news.set()

    def end(self) -> None:
        self._over = True
        self._news.set()


class Feed:
    """Of one queue."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._key = keys.events
        self._listeners: set[Listener] = set()
        self._reader: asyncio.Task[None] | None = None
        self._at = ""
        self._starting = asyncio.Lock()
        self._closing = asyncio.Event()

    @contextlib.asynccontextmanager
    async def listen(self, on_drop: Callable[[], None]) -> AsyncIterator[Listener]:
        """Hears every event from now on. `on_drop` is called when the listener is dropped.

        Raises: TooManyListeners, StoreUnavailable.
        """
        async with self._starting:
            if len(self._listeners) >= LISTENERS_MAX or self._closing.is_set():
                raise TooManyListeners
            if self._reader is None or self._reader.done():
                self._at = await self._newest()
                self._reader = asyncio.create_task(self._read(), name="feed")
            listener = Listener(self._at, on_drop)  # no await from here on: not an event is lost between
            self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    async def since(self, event_id: str, upto: str) -> AsyncIterator[list[Told]]:
        """What the stream still has behind an event, or from a time on (an id without its place): all up to an entry.

        Raises: BadEventId, StoreUnavailable.
        """
        if not re.fullmatch(EVENT_ID, event_id):
            raise BadEventId(event_id)
        entry, _, place = event_id.partition(".")
        start, passed = entry, event_id if place else ""
        while True:
            rows = await self._connection.execute("XRANGE", self._key, start, upto, "COUNT", PART)
            told = [it for row in rows for it in _told(row)]
            if passed:
                told = [it for it in told if _place(it.id) > _place(passed)]
                passed = ""
            if told:
                yield told
            if len(rows) < PART:
                return
            start = f"({rows[-1][0].decode()}"

    def hang_up(self) -> None:
        """Every listener ends; who may still listen comes back."""
        for listener in self._listeners:
            listener.end()

    async def close(self) -> None:
        """Every listener ends, and the reader."""
        self._closing.set()
        self.hang_up()
        if self._reader is not None:
            await self._reader

    async def _newest(self) -> str:
        rows = await self._connection.execute("XREVRANGE", self._key, "+", "-", "COUNT", 1)
        return rows[0][0].decode() if rows else "0-0"

    async def _read(self) -> None:
        """Until nobody listens, or the end."""
        try:
            while self._listeners and not self._closing.is_set():
                try:
                    rows = await self._connection.execute("XREAD", "COUNT", PART, "STREAMS", self._key, self._at)
                except StoreUnavailable:
                    await self._rest(RETRY_S)
                    continue
                entries = rows[0][1] if rows else []  # of the one stream that was asked for
                if entries:
                    told = [it for entry in entries for it in _told(entry)]
                    self._at = entries[-1][0].decode()
                    for listener in list(self._listeners):
                        listener.hear(told)
                if len(entries) < PART:
                    await self._rest(LOOK_S)
        finally:
            self.hang_up()

    async def _rest(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()


def _told(row: Any) -> list[Told]:
    return [Told(it.id, it.event, _data(it)) for it in events_of(row[0], row[1])]


def _data(stored: StoredEvent) -> bytes:
    ms = int(stored.id.partition("-")[0])
    shown: dict[str, Any] = {"time": iso(ms), "event": stored.event}
    if stored.job:
        shown |= {"job_id": stored.job, "contact_id": stored.contact, "location_id": stored.location,
                  "lane": stored.lane, "attempt": stored.attempt}  # fmt: skip
    detail = msgspec.json.decode(stored.detail) if stored.detail else {}
    detail.pop("trace", None)
    return msgspec.json.encode(shown | {name: value for name, value in detail.items() if value is not None})


def _place(event_id: str) -> tuple[int, int, int]:
    ms, number, place = re.split(r"[-.]", event_id)
    return int(ms), int(number), int(place)
