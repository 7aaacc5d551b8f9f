"""The store's tests run twice: on a real Redis and on the embedded one."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from redis_server import RedisServer

from leadenrich.config import QueueSettings, RedisSettings
from leadenrich.store.connection import Connection, open_redis
from leadenrich.store.queue import Queue


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
async def queue(connection: Connection) -> Queue:
    queue = Queue(connection, QueueSettings(lease=1.0), worker="w1", trigger_tags=("Enrich",))
    await queue.open()
    return queue

