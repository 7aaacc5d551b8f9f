"""Leads on their way to the bulk lane: one job each, whatever Redis does meanwhile, and behind the live ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from daemon_process import inside, new_sandbox, people, settings_for, until
from leads import lead
from redis_proxy import Way, proxy_to
from redis_server import RedisServer

from leadenrich.bulk.feeder import BATCH, Feeder
from leadenrich.config import QueueSettings, RedisSettings
from leadenrich.core.job import Lane
from leadenrich.store.connection import Connection, open_redis
from leadenrich.store.memory import BULK_HIGH_WATER, Memory, Room
from leadenrich.store.queue import Queue, Submission


@pytest.fixture
async def connection(redis_server: RedisServer) -> AsyncIterator[Connection]:
    async with open_redis(RedisSettings(url=redis_server.url)) as opened:
        yield opened


def queue_on(connection: Connection, name: str) -> Queue:
    return Queue(connection, QueueSettings(name=name), worker="bulk")


def feeder_on(queue: Queue, told: list[str]) -> Feeder:
    return Feeder(queue, origin="o", window_s=60, on_wait=told.append, retry_s=0.01)


async def test_redis_may_go_and_come_back(redis_server: RedisServer, connection, tmp_path: Path) -> None:
    """Also with the answer lost: then Redis has the leads, and has them once."""
    told: list[str] = []
    async with proxy_to(redis_server.url) as proxy, open_redis(RedisSettings(url=proxy.url)) as through:
        feeder = feeder_on(queue_on(through, tmp_path.name), told)
        for number, way in enumerate([Way.REFUSE, Way.CUT_AFTER]):
            proxy.go(way)
            feeding = asyncio.create_task(feeder.feed([lead(f"c{number}-{at}", kind="import") for at in range(3)]))
            await until(lambda: len(told) > 1, "it was tried again")
            assert all(why.startswith("Redis") for why in told)
            proxy.go(Way.STRAIGHT)
            assert [receipt.verb for receipt in await feeding] == ["queued"] * 3
            assert told[-1] == ""
            told.clear()
    assert await connection.execute("LLEN", f"le:{{{tmp_path.name}}}:wait:bulk") == 6


async def test_redis_is_filled_by_live_leads_only_from_the_mark_on(connection, tmp_path: Path) -> None:
    memory, told = Memory(used=75, limit=100), list[str]()

    async def look() -> Memory:
        return memory

    queue = queue_on(connection, tmp_path.name)
    connection.room = Room(look, mark=BULK_HIGH_WATER)
    feeding = asyncio.create_task(feeder_on(queue, told).feed([lead("bulk", kind="import")]))
    await until(lambda: told, "it waits")
    assert "75% of" in told[0]
    connection.room = Room(look)
    [receipt] = await queue.submit_all([Submission(lead("live"))])
    assert receipt.verb == "queued"
    assert [receipt.verb for receipt in await feeding] == ["queued"]


async def test_a_live_lead_starts_within_a_second_while_ten_thousand_wait(
    redis_server: RedisServer, connection, tmp_path: Path
) -> None:
    """At the pace that a daemon has by default: five look-ups a second, five jobs at the same time."""
    async with new_sandbox() as sandbox:
        settings = settings_for(
            sandbox, redis_server.url, queue={"name": tmp_path.name}, worker={"rate_per_second": 5.0}
        )
        feeder = feeder_on(queue_on(connection, tmp_path.name), [])
        contacts = people(sandbox, 10_000, street="Elm St")
        for at in range(0, len(contacts), BATCH):
            await feeder.feed(
                [lead(it.contact_id, location_id=it.location_id, kind="import") for it in contacts[at : at + BATCH]]
            )
        async with inside(sandbox, tmp_path, settings) as daemon:
            await until(lambda: sandbox.rea.calls, "bulk leads are at work")
            job_id = await daemon.tell(people(sandbox, 1, start=20_000)[0])
            [job] = await daemon.ended([job_id])
            _, stats = await daemon.get("/api/v1/stats")
    assert stats["lanes"][Lane.BULK.value]["QUEUED"] > 9_900
    assert job["state"] == "SUCCEEDED"
    waited = _ms(job["started_at"]) - _ms(job["created_at"])
    assert waited < 1_000


def _ms(moment: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(moment).timestamp() * 1000
