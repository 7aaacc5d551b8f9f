"""The line between daemon and Redis is late, cut, half open; Redis forgets scripts and clients: no lead notices."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

import pytest
from daemon_process import Inside, events_of, inside, look_ups, new_sandbox, people, settings_for, until, writes
from redis_proxy import RedisProxy, Way, proxy_to
from redis_server import RedisServer

from leadenrich.config import RedisSettings
from leadenrich.sandbox.crm import FakeContact
from leadenrich.sandbox.events import contact_event
from leadenrich.sandbox.faults import Fault, Match
from leadenrich.store.connection import Connection, open_redis

RECONNECT_S = 3.0
LEASE_S = 6.0  # longer than any fault: nobody's job is taken from them

Fault_ = Callable[[RedisProxy, Connection, Random], Awaitable[None]]


def on_the_line(way: Way) -> Fault_:
    async def fault(proxy: RedisProxy, redis: Connection, rng: Random) -> None:
        proxy.go(way)
        await asyncio.sleep(rng.uniform(0.5, 2.0 if way in (Way.LATE, Way.SWALLOW) else 1.0))
        proxy.go(Way.STRAIGHT)

    return fault


async def scripts_flushed(proxy: RedisProxy, redis: Connection, rng: Random) -> None:
    for _ in range(rng.randrange(3, 8)):
        await redis.execute("SCRIPT", "FLUSH")
        await asyncio.sleep(0.1)


async def clients_killed(proxy: RedisProxy, redis: Connection, rng: Random) -> None:
    for _ in range(rng.randrange(2, 5)):
        await redis.execute("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await asyncio.sleep(0.2)


FAULTS: dict[str, Fault_] = {way.value: on_the_line(way) for way in Way if way is not Way.STRAIGHT} | {
    "SCRIPT FLUSH": scripts_flushed,
    "CLIENT KILL": clients_killed,
}


async def deliver(daemon: Inside, contact: FakeContact) -> str:
    """As HighLevel does: the same event again until it is taken."""
    body = contact_event("ContactCreate", contact)
    while True:
        status, answer = await daemon.hook(body)
        if status in (200, 202):
            return str(answer["job_id"])
        assert status == 429, (status, answer)
        await asyncio.sleep(0.1)


async def works_again(daemon: Inside) -> None:
    """A command goes through, and the first try that does so counts."""
    began = time.monotonic()
    await until(lambda: answered(daemon), "Redis answers the daemon", within_s=RECONNECT_S + 5)
    assert time.monotonic() - began <= RECONNECT_S


async def answered(daemon: Inside) -> bool:
    return (await daemon.get("/api/v1/stats"))[0] == 200


def tasks_by_name() -> Counter[str]:
    """What runs in the loop, without the proxy's and without what serves connections that clients keep open."""
    names = Counter[str]()
    for task in asyncio.all_tasks():
        name, coroutine = task.get_name(), task.get_coro()
        name = getattr(coroutine, "__qualname__", name) if name.startswith("Task-") else name
        names[name] += not name.startswith(("proxy-", "RedisProxy.", "RequestHandler."))
    return +names


@pytest.mark.parametrize("seed", range(1, 1 + int(os.environ.get("PROXY_SEEDS", "1"))))
async def test_faults_on_the_line_lose_and_double_nothing(tmp_path: Path, redis_server: RedisServer, seed: int) -> None:
    """Every fault once and three more by seed, each with leads in flight and leads at the door."""
    rng = Random(seed)
    order = [*FAULTS, *rng.choices(list(FAULTS), k=3)]
    rng.shuffle(order)
    async with (
        open_redis(RedisSettings(url=redis_server.url)) as redis,
        proxy_to(redis_server.url) as proxy,
        new_sandbox() as sandbox,
    ):
        await redis.execute("FLUSHALL")
        sandbox.faults.add(Fault("slow", seconds=0.15), times=None, match=Match(path="PropertyDetail"))
        settings = settings_for(sandbox, proxy.url, queue={"lease": LEASE_S})
        contacts = people(sandbox, 4 * len(order))
        async with inside(sandbox, tmp_path, settings) as daemon:
            at_rest = tasks_by_name()
            ids: list[str] = []
            for number, name in enumerate(order):
                batch = contacts[4 * number : 4 * number + 4]
                ids += [await deliver(daemon, contact) for contact in batch[:2]]
                before = proxy.harmed
                late = [asyncio.create_task(deliver(daemon, contact)) for contact in batch[2:]]
                await FAULTS[name](proxy, redis, rng)
                assert proxy.harmed > before or name in ("SCRIPT FLUSH", "CLIENT KILL"), f"{name} met nobody"
                await works_again(daemon)
                ids += await asyncio.gather(*late)
            jobs = await daemon.ended(ids, within_s=30)
            assert len(set(ids)) == len(contacts), "one job a lead"
            assert len(await daemon.jobs()) == len(contacts)
            assert Counter(job["state"] for job in jobs) == {"SUCCEEDED": len(contacts)}
            endings = [sum(event in ("completed", "failed") for event in events_of(job)) for job in jobs]
            assert set(endings) == {1}
            assert "stalled" not in {event for job in jobs for event in events_of(job)}
            assert set(sandbox.rea.paid.values()) == {1}
            assert len(look_ups(sandbox)) == len(contacts)
            assert {tuple(writes(sandbox, contact.contact_id)) for contact in contacts} == {("PUT", "POST /tags")}
            await until(lambda: tasks_by_name() == at_rest, "no task more than before")
            assert proxy.accepted > len(order), "nobody ever connected anew"
