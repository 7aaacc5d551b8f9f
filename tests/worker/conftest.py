"""The worker's tests run on the embedded Redis and on a real one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis_server import RedisServer
from worker_crew import Crew, MakeCrew

from leadenrich.config import RedisSettings
from leadenrich.store.connection import Connection, open_redis


@pytest.fixture
async def embedded() -> AsyncIterator[Connection]:
    async with open_redis(RedisSettings(url="fakeredis://")) as opened:
        yield opened


@pytest.fixture
async def real(redis_server: RedisServer) -> AsyncIterator[Connection]:
    async with open_redis(RedisSettings(url=redis_server.url)) as opened:
        await opened.execute("FLUSHALL")
        yield opened


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
def make_crew(connection: Connection) -> MakeCrew:
    def make(
        worker: str = "w1", *, concurrency: int = 5, grace_s: float = 5.0, on: Connection = connection, **settings: Any
    ) -> Crew:
        return Crew(on, worker, concurrency, grace_s, **settings)

    return make


@pytest.fixture
def make_real_crew(real: Connection) -> MakeCrew:
    def make(worker: str = "w1", *, concurrency: int = 5, grace_s: float = 5.0, **settings: Any) -> Crew:
        return Crew(real, worker, concurrency, grace_s, **settings)

    return make
