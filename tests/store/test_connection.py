"""Redis is away, full, or forgets: what is said, and what still works."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from queue_desk import Desk, MakeDesk
from redis.exceptions import ResponseError
from redis_server import RedisServer, running

from leadenrich.config import QueueSettings, RedisSettings
from leadenrich.store.connection import Connection, Durability, judge, open_redis
from leadenrich.store.errors import StoreRefused, StoreUnavailable
from leadenrich.store.queue import Queue
from leadenrich.store.scripts import Script


@pytest.fixture
async def full(real: Connection, make_real_desk: MakeDesk) -> AsyncIterator[Desk]:
    """Five jobs in hand, and no memory left for anything new."""
    desk = make_real_desk()
    for number in range(5):
        await desk.new(f"c{number}")
    yield desk
    await real.execute("CONFIG", "SET", "maxmemory", 0)


@pytest.fixture
def make_real_desk(real: Connection) -> MakeDesk:
    def make(worker: str = "w1", **settings: object) -> Desk:
        return Desk(real, Queue(real, QueueSettings(**{"lease": 1.0, **settings}), worker=worker))

    return make


async def test_when_redis_is_full_what_is_in_hand_ends_and_nothing_new_comes_in(full: Desk, real: Connection) -> None:
    claims = await full.claim(5)
    await real.execute("CONFIG", "SET", "maxmemory", 1)
    with pytest.raises(StoreUnavailable):
        await full.new("another")
    with pytest.raises(StoreUnavailable):
        await full.submit("c0", "2 Second St", kind="update")
    assert await full.queue.extend(claims) == set()
    await full.queue.checkpoint(claims[0], "lookup", paid=True)
    await full.queue.checkpoint(claims[0], "lookup", result=b"record" * 1000, credits=1)
    await full.complete(claims[0])
    await full.bury(claims[1])
    await full.release(claims[2])
    await full.retry(claims[3])
    [lease] = await full.queue.leases()
    assert await full.queue.reclaim(lease.job_id, lease.beat) == "reclaimed"
    [suspect] = await full.claim()
    await full.complete(suspect)
    with pytest.raises(StoreUnavailable):
        await full.queue.revive(claims[1].job_id, by="ops")
    await full.queue.cancel(claims[3].job_id, by="ops")
    await real.execute("CONFIG", "SET", "maxmemory", 0)
    await full.new("another")


async def test_plain_commands_of_a_full_redis_are_not_now_either(real: Connection) -> None:
    await real.execute("CONFIG", "SET", "maxmemory", 1)
    try:
        with pytest.raises(StoreUnavailable, match="maxmemory"):
            await real.execute("SET", "x", "y")
        pipeline = real.pipeline()
        pipeline.set("x", "y")
        with pytest.raises(StoreUnavailable):
            await real.flush(pipeline)
    finally:
        await real.execute("CONFIG", "SET", "maxmemory", 0)


async def test_a_replica_takes_no_writes_now(tmp_path: Path) -> None:
    """A failover: the address answers, but READONLY."""
    with running(tmp_path) as server:
        async with open_redis(RedisSettings(url=server.url)) as connection:
            desk = Desk(connection, Queue(connection, QueueSettings(), worker="w1"))
            await desk.new()
            await connection.execute("REPLICAOF", "127.0.0.1", 1)
            with pytest.raises(StoreUnavailable):
                await desk.new("c2")
            with pytest.raises(StoreUnavailable):
                await connection.execute("SET", "x", "y")


async def test_a_redis_that_is_busy_answers_not_now(real: Connection) -> None:
    await real.execute("CONFIG", "SET", "busy-reply-threshold", 1)

    async def ask_until_refused() -> None:
        while not endless.done():
            await real.execute("PING")

    endless = asyncio.create_task(real.execute("EVAL", "while true do end", 0))
    try:
        with pytest.raises(StoreUnavailable, match="BUSY"):
            await ask_until_refused()
    finally:
        await real.execute("SCRIPT", "KILL")
        with pytest.raises(Exception, match="killed"):
            await endless
        await real.execute("CONFIG", "SET", "busy-reply-threshold", 5000)


async def test_a_redis_that_is_gone_is_unavailable_and_the_next_one_is_used_at_once(tmp_path: Path) -> None:
    server = RedisServer(tmp_path, "--appendfsync", "always")
    server.start()
    try:
        async with open_redis(RedisSettings(url=server.url)) as connection:
            desk = Desk(connection, Queue(connection, QueueSettings(), worker="w1"))
            job_id = await desk.new()
            waiting = asyncio.create_task(desk.queue.wait(20.0))  # takes the marker that is there
            assert await waiting
            waiting = asyncio.create_task(desk.queue.wait(20.0))
            server.kill()
            with pytest.raises(StoreUnavailable):
                await waiting
            with pytest.raises(StoreUnavailable):
                await desk.new("c2")
            server.start()
            assert (await desk.one()).job_id == job_id
    finally:
        server.stop()


async def test_a_connection_that_is_dead_without_a_word_is_given_up(
    real: Connection, make_real_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half open: Redis holds the wait far longer than asked, as a peer that is gone would."""
    monkeypatch.setattr("leadenrich.store.connection.WATCHDOG_S", -9.9)
    with pytest.raises(StoreUnavailable, match="dead"):
        await make_real_desk().queue.wait(10.0)
    monkeypatch.undo()
    assert not await make_real_desk().queue.wait(0.01)


async def test_a_wait_is_ended_from_outside(real: Connection, make_real_desk: MakeDesk) -> None:
    queue = make_real_desk().queue
    waiting = asyncio.create_task(queue.wait(20.0))
    while not waiting.done():
        await queue.stop_waiting()
        await asyncio.sleep(0.01)
    assert not await waiting


async def test_a_wrong_command_is_our_own_fault(connection: Connection) -> None:
    with pytest.raises(ResponseError):
        await connection.execute("ZADD", "x", "not a number", "y")


async def test_an_error_inside_a_script_is_not_hidden(connection: Connection) -> None:
    with pytest.raises(ResponseError):
        await Script(connection, "settle")([], [])


async def test_nobody_there_is_told_within_the_time_given() -> None:
    with pytest.raises(StoreUnavailable):
        async with open_redis(RedisSettings(url="redis://127.0.0.1:1/0", connect_timeout=0.1)):
            pass


# --- what is kept --------------------------------------------------------------------------------------------------


async def test_a_redis_without_append_only_file_is_refused(tmp_path: Path) -> None:
    with running(tmp_path, "--appendonly", "no") as server:
        with pytest.raises(StoreRefused, match="appendonly yes"):
            async with open_redis(RedisSettings(url=server.url)):
                pass
        async with open_redis(RedisSettings(url=server.url, allow_volatile=True)) as connection:
            assert not (await connection.probe()).append_only


@pytest.mark.parametrize(
    ("durability", "warning"),
    [
        (Durability((7, 2), True, "always", "noeviction"), ""),
        (Durability((7, 2), True, "everysec", "noeviction"), "redis_fsync"),
        (Durability((7, 2), True, "always", "allkeys-lru"), "redis_evicts"),
        (Durability((7, 0), False, "no", "noeviction", embedded=True), "redis_embedded"),
    ],
)
def test_what_a_crash_can_cost_is_said(
    durability: Durability, warning: str, capsys: pytest.CaptureFixture[str]
) -> None:
    judge(durability, allow_volatile=False)
    out, err = capsys.readouterr()
    assert (warning in out + err) if warning else not out + err


def test_an_old_redis_is_refused() -> None:
    with pytest.raises(StoreRefused, match=r"6\.2"):
        judge(Durability((6, 0, 16), True, "always", "noeviction"), allow_volatile=True)
