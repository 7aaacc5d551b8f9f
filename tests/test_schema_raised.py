"""A newer version raises the schema of the queue's data while an older daemon runs: it ends what it has, and leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from daemon_process import Inside, inside, look_ups, new_sandbox, people, process, settings_for, until
from redis_server import RedisServer

from leadenrich.config import RedisSettings
from leadenrich.sandbox.faults import Fault, Match
from leadenrich.sandbox.server import Sandbox
from leadenrich.store.connection import open_redis
from leadenrich.store.errors import StoreRefused
from leadenrich.store.schema import SCHEMA_VERSION, Keys

NEWER = SCHEMA_VERSION + 1
WORDS = f"the queue's data is of schema {NEWER}, this version knows {SCHEMA_VERSION}: run the newer leadenrich"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with new_sandbox() as opened:
        yield opened


async def raise_schema(redis: RedisServer, queue: str) -> None:
    async with open_redis(RedisSettings(url=redis.url)) as connection:
        await connection.execute("HSET", Keys(queue).meta, "schema", NEWER)


async def test_an_older_daemon_ends_what_it_has_takes_nothing_more_and_leaves(
    redis_server: RedisServer, sandbox: Sandbox, tmp_path: Path
) -> None:
    settings = settings_for(sandbox, redis_server.url, queue={"name": "raised"}, worker={"concurrency": 1})
    sandbox.faults.add(Fault("slow", seconds=1.0), times=None, match=Match(path="PropertyDetail"))
    first, second = people(sandbox, 2, street="Raised St")  # no other test's houses: bought ones are not asked for
    async with process(sandbox, tmp_path, settings) as daemon:
        await daemon.start()
        await daemon.tell(first)
        await until(lambda: look_ups(sandbox), "the first is at work")
        waiting = await daemon.tell(second)
        await raise_schema(redis_server, "raised")
        assert await daemon.exit_status() == 69
        assert WORDS in daemon.text[-1]
        assert [line["note"] for line in daemon.said("schema_newer")] == [
            f"{WORDS}; this daemon ends what is in hand and leaves"
        ]
        assert [line["contact_id"] for line in daemon.said("completed")] == [first.contact_id]
        async with open_redis(RedisSettings(url=redis_server.url)) as connection:
            assert await connection.execute("LRANGE", Keys("raised").wait_live, 0, -1) == [waiting.encode()]
            assert await connection.execute("EXISTS", Keys("raised").lease) == 0
        status, said = await daemon.refused()
        assert status == 69
        assert said.endswith(f"leadenrich: {WORDS} (redis.url is {redis_server.url})\n")


async def test_a_web_half_that_claims_nothing_hears_of_it_too(
    redis_server: RedisServer, sandbox: Sandbox, tmp_path: Path
) -> None:
    settings = settings_for(sandbox, redis_server.url, queue={"name": "raised-web"})

    async def until_it_leaves() -> None:
        async with inside(sandbox, tmp_path, settings, only="web", schema_look_s=0.05) as daemon:
            await raise_schema(redis_server, "raised-web")
            await gone(daemon)

    with pytest.raises(Exception, match="run the newer leadenrich") as raised:
        await until_it_leaves()
    assert isinstance(raised.value.__cause__, StoreRefused)


async def gone(daemon: Inside) -> None:
    async with asyncio.timeout(5):
        await daemon.running.stop.wait()
