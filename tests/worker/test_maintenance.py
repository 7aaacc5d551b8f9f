"""Leases are watched by beats and a monotonic clock: the living keep their jobs, the dead give them back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from queue_desk import Desk

from leadenrich.config import QueueSettings
from leadenrich.store.connection import Connection
from leadenrich.store.errors import StoreUnavailable
from leadenrich.store.queue import Queue
from leadenrich.worker.maintenance import Heart, Watch, every

LEASE_S = 30.0


class Clock:
    """The watcher's own monotonic clock."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def desk(connection: Connection) -> Desk:
    return Desk(connection, Queue(connection, QueueSettings(lease=LEASE_S, max_stalled=0), worker="w1"))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def told() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def watch(connection: Connection, clock: Clock, told: list[tuple[str, str]]) -> Watch:
    async def on_reclaimed(job_id: str, word: str) -> None:
        told.append((job_id, word))

    watcher = Queue(connection, QueueSettings(lease=LEASE_S, max_stalled=0), worker="w2")
    return Watch(watcher, lease_s=LEASE_S, on_reclaimed=on_reclaimed, monotonic=clock)


async def test_a_beating_job_is_never_stolen(desk: Desk, watch: Watch, clock: Clock) -> None:
    await desk.new()
    claim = await desk.one()
    heart = Heart(desk.queue, lambda: [claim])
    for _ in range(20):
        assert await watch.look() == []
        clock.now += LEASE_S - 0.1  # slow, but alive
        await heart.beat()
    await desk.complete(claim)


async def test_a_still_one_is_taken_after_a_whole_lease(
    desk: Desk, watch: Watch, clock: Clock, told: list[tuple[str, str]]
) -> None:
    job_id = await desk.new()
    await desk.one()
    assert await watch.look() == []
    clock.now += LEASE_S - 0.01
    assert await watch.look() == []
    clock.now += 0.02
    assert await watch.look() == [job_id]
    assert await desk.state(job_id) == "QUEUED"
    assert told == [(job_id, "reclaimed")]
    assert await watch.look() == []


async def test_within_twice_the_lease_whatever_the_looks_fall_on(desk: Desk, watch: Watch, clock: Clock) -> None:
    await desk.new()
    await watch.look()
    clock.now += LEASE_S / 3 - 0.1
    await desk.one()
    died = clock.now
    for _ in range(10):
        clock.now += LEASE_S / 3
        if await watch.look():
            break
    assert clock.now - died < 2 * LEASE_S


async def test_within_twice_the_lease_although_the_look_before_saw_nothing(
    desk: Desk, watch: Watch, clock: Clock
) -> None:
    """It rests longer while nothing is leased, and wakes on time for one that stands still."""
    await desk.new()
    await watch.look()
    assert watch.rest_s == pytest.approx(LEASE_S * 2 / 3)
    await desk.one()
    died = clock.now
    clock.now += watch.rest_s
    await watch.look()
    seen = clock.now
    while not await watch.look():
        assert 0 < watch.rest_s <= LEASE_S / 3
        clock.now += watch.rest_s
    assert clock.now - seen == pytest.approx(LEASE_S)
    assert clock.now - died < 2 * LEASE_S


async def test_a_long_pause_of_the_watcher_steals_nothing_that_beat_meanwhile(
    desk: Desk, watch: Watch, clock: Clock
) -> None:
    await desk.new()
    claim = await desk.one()
    await watch.look()
    clock.now += 3_600
    await desk.queue.extend([claim])
    assert await watch.look() == []


async def test_a_job_that_ran_again_is_watched_from_anew(desk: Desk, watch: Watch, clock: Clock) -> None:
    await desk.new()
    claim = await desk.one()
    await watch.look()
    clock.now += LEASE_S - 1
    await desk.release(claim)
    await desk.one()
    clock.now += 2
    assert await watch.look() == []


async def test_a_beat_between_the_look_and_the_taking_saves_the_job(
    desk: Desk, watch: Watch, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.new()
    claim = await desk.one()
    await watch.look()
    clock.now += LEASE_S + 1
    seen = await watch._queue.leases()
    await desk.queue.extend([claim])

    async def old() -> Any:
        return seen

    monkeypatch.setattr(watch._queue, "leases", old)
    assert await watch.look() == []
    await desk.complete(claim)


async def test_a_condemned_job_is_told_as_such(
    desk: Desk, watch: Watch, clock: Clock, told: list[tuple[str, str]]
) -> None:
    job_id = await desk.new()
    for _ in range(3):  # beside others as far as anybody knows, alone, alone at the same place
        await desk.one()
        await watch.look()
        clock.now += LEASE_S
        assert await watch.look() == [job_id]
    assert [word for _, word in told] == ["reclaimed", "reclaimed", "condemned"]


async def test_many_dead_leases_are_taken_in_one_look(desk: Desk, watch: Watch, clock: Clock) -> None:
    ids = {await desk.new(f"c{number}") for number in range(30)}
    await desk.claim(30)
    await watch.look()
    clock.now += LEASE_S
    assert set(await watch.look()) == ids


async def test_a_heart_without_jobs_still_tells_that_the_daemon_lives(desk: Desk) -> None:
    await Heart(desk.queue, list, about="here").beat()
    beat = await desk.connection.execute("HGET", desk.keys.workers, "beat:w1")
    assert beat.endswith(b"|here")


async def test_a_heart_says_which_leases_were_lost(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    job_id = await desk.new()
    claim = await desk.one()
    [lease] = await desk.queue.leases()
    await desk.queue.reclaim(job_id, lease.beat)
    await Heart(desk.queue, lambda: [claim]).beat()
    assert "leases_lost" in "".join(capsys.readouterr())


async def test_a_loop_goes_on_after_the_store_was_away_and_ends_at_once() -> None:
    stop, calls = asyncio.Event(), []

    async def act() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise StoreUnavailable("Redis: away")
        if len(calls) == 3:
            stop.set()

    async with asyncio.timeout(5):
        await every(0.001, stop, act)
    assert len(calls) == 3
    never: Callable[[], Any] = _fail
    await every(60.0, stop, never)


async def test_a_loop_can_be_told_after_each_call_how_long_to_rest() -> None:
    stop, calls, rests = asyncio.Event(), [], iter((0.001, 0.002, 60.0))

    async def act() -> None:
        calls.append(1)
        if len(calls) == 3:
            stop.set()

    async with asyncio.timeout(5):
        await every(lambda: next(rests), stop, act)
    assert list(rests) == []


async def _fail() -> None:
    raise AssertionError("a stopped loop acts no more")
