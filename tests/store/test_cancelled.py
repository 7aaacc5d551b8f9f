"""A cancellation that hits a call to Redis is heard, at whatever moment of the call it comes."""

from __future__ import annotations

import asyncio

from redis_server import RedisServer

from leadenrich.config import RedisSettings
from leadenrich.store.connection import Connection, open_redis
from leadenrich.store.scripts import Script


async def ping_for_ever(connection: Connection) -> None:
    while True:
        await connection.execute("PING")


async def reserve_for_ever(connection: Connection) -> None:
    """A script: the first call finds it unknown and loads it, two calls with the same cancellation."""
    while True:
        await connection.execute("SCRIPT", "FLUSH")
        await Script(connection, "reserve")(["le:{pace:test}:next"], [1, 0])


async def test_a_cancellation_is_never_lost(redis_server: RedisServer) -> None:
    async with open_redis(RedisSettings(url=redis_server.url)) as connection:
        for work in (ping_for_ever, reserve_for_ever):
            for turns in range(60):
                task = asyncio.create_task(work(connection))
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                done, _ = await asyncio.wait([task], timeout=5)
                assert done, f"{work.__name__} went on, cancelled after {turns} turns of the loop"
                assert task.cancelled()


async def test_what_cleans_up_after_a_cancellation_can_write(redis_server: RedisServer) -> None:
    async with open_redis(RedisSettings(url=redis_server.url)) as connection:

        async def work() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await connection.execute("SET", "cleaned", "up")

        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert await connection.execute("GET", "cleaned") == b"up"
