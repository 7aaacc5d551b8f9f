"""The store's tests run twice: on a real Redis and on the embedded one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from queue_desk import Desk, MakeDesk
from redis_server import RedisServer

from leadenrich.config import QueueSettings, RedisSettings
from leadenrich.store.connection import Connection, open_redis
from leadenrich.store.queue import Queue

TRIGGER_TAGS = ("Enrich",)


@pytest.fixture(params=["real", "embedded"])
async def connection(request: pytest.FixtureRequest) -> AsyncIterator[Connection]:
    url = "fakeredis://"
    if request.param == "real":
        server: RedisServer = request.getfixturevalue("redis_server")
        url = server.url
    async with open_redis(RedisSettings(url=url)) as opened:
        await opened.execute("FLUSHALL")
        yield opened


@pytest.fixture
async def real(redis_server: RedisServer) -> AsyncIterator[Connection]:
    """For what only a real server does."""
    async with open_redis(RedisSettings(url=redis_server.url)) as opened:
        await opened.execute("FLUSHALL")
        yield opened


@pytest.fixture
def make_desk(connection: Connection) -> MakeDesk:
    """A desk of another worker, or with other settings, on the same Redis."""

    def make(
        worker: str = "w1", *, unknown_updates: bool = False, on: Connection = connection, **settings: Any
    ) -> Desk:
        queue = Queue(
            on,
            QueueSettings(**{"lease": 1.0, **settings}),
            worker=worker,
            trigger_tags=TRIGGER_TAGS,
            enrich_unknown_updates=unknown_updates,
        )
        return Desk(on, queue)

    return make


@pytest.fixture
async def desk(make_desk: MakeDesk) -> Desk:
    desk = make_desk()
    await desk.queue.open()
    return desk
