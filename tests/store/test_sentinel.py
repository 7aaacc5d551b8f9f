"""Behind Sentinels: the master dies or steps down, and the store finds the one that took over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from queue_desk import Desk
from redis_topologies import SERVICE, SentinelServer, Watched, ask, wait_for, watched_master

from leadenrich.config import QueueSettings, RedisSettings
from leadenrich.store.connection import Connection, open_redis
from leadenrich.store.errors import StoreRefused, StoreUnavailable
from leadenrich.store.queue import Queue

FAILOVER_S = 10.0


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    with watched_master(tmp_path) as servers:
        yield servers


@pytest.fixture
async def desk(watched: Watched) -> AsyncIterator[Desk]:
    async with open_redis(RedisSettings(url=watched.url)) as connection:
        queue = Queue(connection, QueueSettings(), worker="w1")
        await queue.open()
        yield Desk(connection, queue)


async def port_of(connection: Connection) -> int:
    port: int = (await connection.execute("INFO", "server"))["tcp_port"]
    return port


async def submitted(desk: Desk, contact: str) -> str:
    """As HighLevel does it: sent again until it is taken."""
    deadline = time.monotonic() + FAILOVER_S
    while True:
        try:
            job_id = (await desk.submit(contact)).job_id
            assert job_id is not None
            return job_id
        except StoreUnavailable:
            assert time.monotonic() < deadline, "no master took over"
            await asyncio.sleep(0.05)


async def test_leads_outlive_their_master(desk: Desk, watched: Watched) -> None:
    """What was replicated is there, what waits hears of the loss at once, new leads are taken soon."""
    before = await desk.new("before")
    assert await desk.connection.execute("WAIT", 1, 2000) == 1
    at_work = await desk.one()
    waiting = asyncio.create_task(desk.queue.wait(20))
    await asyncio.to_thread(wait_for, lambda: ask(watched.master, "INFO", "clients")["blocked_clients"] == 1)

    watched.master.kill()
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await waiting
    assert time.monotonic() - began < 5
    with pytest.raises(StoreUnavailable):
        await desk.submit("between")

    after = await submitted(desk, "after")
    assert await port_of(desk.connection) == watched.replica.port
    await desk.complete(at_work)
    [claim] = await desk.claim(5)
    assert claim.job_id == after
    assert (await desk.job(before)).state == "SUCCEEDED"
    assert await desk.queue.wait(0.2) in (True, False)  # the listener found the new master too


async def test_a_master_that_steps_down_is_left(desk: Desk, watched: Watched) -> None:
    """It goes on answering, as a replica: connections bound to it are let go of."""
    await desk.new("before")
    await asyncio.gather(*(desk.connection.execute("PING") for _ in range(10)))  # many connections to the old one
    await desk.connection.execute("WAIT", 1, 2000)
    wait_for(lambda: ask(watched.sentinel, "SENTINEL", "FAILOVER", SERVICE))  # refused until it knows the replica
    await asyncio.to_thread(wait_for, lambda: ask(watched.replica, "INFO", "replication")["role"] == "master")
    # The Sentinel tells the old one some 8 s later; it does not have to be that one who does.
    ask(watched.master, "REPLICAOF", "127.0.0.1", watched.replica.port)
    await submitted(desk, "after")
    assert await port_of(desk.connection) == watched.replica.port
    assert len(await desk.claim(5)) == 2


async def test_nobody_to_name_a_master_is_told_soon() -> None:
    began = time.monotonic()
    with pytest.raises(StoreUnavailable, match="No master found"):
        async with open_redis(RedisSettings(url=f"redis+sentinel://127.0.0.1:1/{SERVICE}", connect_timeout=0.2)):
            pass
    assert time.monotonic() - began < 5


async def test_a_password_of_the_sentinel_is_not_that_of_its_servers(watched: Watched, tmp_path: Path) -> None:
    watched.sentinel.kill()  # to this one a master that wants a password would look dead
    ask(watched.master, "CONFIG", "SET", "requirepass", "of-redis")
    (tmp_path / "guarded").mkdir()
    lines = (f"sentinel auth-pass {SERVICE} of-redis", "requirepass of-sentinel")
    guarded = SentinelServer(tmp_path / "guarded", watched.master, *lines)
    guarded.start()
    try:
        address = f"127.0.0.1:{guarded.port}/{SERVICE}"
        url = f"redis+sentinel://:of-redis@{address}?sentinel_password=of-sentinel"
        async with open_redis(RedisSettings(url=url)) as connection:
            assert await connection.execute("PING")
        with pytest.raises(StoreUnavailable):
            async with open_redis(RedisSettings(url=f"redis+sentinel://:of-redis@{address}", connect_timeout=0)):
                pass
    finally:
        guarded.kill()


async def test_a_master_without_append_only_file_is_refused(watched: Watched) -> None:
    ask(watched.master, "CONFIG", "SET", "appendonly", "no")
    with pytest.raises(StoreRefused, match="append-only"):
        async with open_redis(RedisSettings(url=watched.url)):
            pass
