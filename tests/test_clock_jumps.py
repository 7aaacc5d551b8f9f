"""Wall clocks jump by an hour, of Redis and of the daemon: leases and live jobs do not notice."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from daemon_process import DaemonProcess, events_of, look_ups, new_sandbox, people, process, settings_for, until, writes
from redis_server import RedisServer
from shifted_clock import ShiftedClock, compiler

from leadenrich.config import RedisSettings
from leadenrich.sandbox.faults import Fault, Match
from leadenrich.sandbox.server import Sandbox
from leadenrich.store.connection import open_redis

HOUR = 3600
JUMPS = (HOUR, 0, -HOUR, HOUR, -HOUR, 0)
LEASE_S = 1.5
LOOK_UP_S = 1.9  # longer than a lease: it must be held by beats
LEADS = 10

pytestmark = pytest.mark.skipif(compiler() is None, reason="the clock's shift is compiled, and no C compiler is here")


@pytest.fixture
def shifted(tmp_path: Path) -> Iterator[ShiftedClock]:
    (tmp_path / "clock").mkdir()
    clock = ShiftedClock(tmp_path / "clock")
    yield clock
    clock.close()


@pytest.fixture
def redis(tmp_path: Path, shifted: ShiftedClock) -> Iterator[RedisServer]:
    """A Redis whose wall clock jumps."""
    (tmp_path / "redis").mkdir()
    server = RedisServer(tmp_path / "redis")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in shifted.environment.items():
            patch.setenv(name, value)
        server.start()
    yield server
    server.stop()


async def redis_is_off_by(redis: RedisServer) -> float:
    """Seconds between Redis' clock and the test's."""
    async with open_redis(RedisSettings(url=redis.url)) as connection:
        seconds, _ = await connection.execute("TIME")
    return int(seconds) - time.time()


async def in_flight(daemon: DaemonProcess) -> int:
    _, stats = await daemon.get("/api/v1/stats")
    return sum(lane["PROCESSING"] for lane in stats["lanes"].values())


async def run_with_jumps(daemon: DaemonProcess, sandbox: Sandbox, shifted: ShiftedClock) -> None:
    """Five jobs are always in flight, each for more than a lease, while the clock jumps: each once, all end well."""
    sandbox.faults.add(Fault("slow", seconds=LOOK_UP_S), times=None, match=Match(path="PropertyDetail"))
    contacts = people(sandbox, LEADS)
    ids = [await daemon.tell(contact) for contact in contacts]
    for seconds in JUMPS:
        await until(lambda: in_flight(daemon), "jobs in flight")
        shifted.shift(seconds)
        await asyncio.sleep(0.35 * LEASE_S)  # the time that a jump has to do harm
    jobs = await daemon.ended(ids, within_s=20)
    assert Counter(job["state"] for job in jobs) == {"SUCCEEDED": LEADS}
    assert {tuple(events_of(job)) for job in jobs} == {("queued", "started", "completed")}, "stolen while alive"
    assert set(sandbox.rea.paid.values()) == {1}
    assert len(look_ups(sandbox)) == LEADS
    assert {tuple(writes(sandbox, contact.contact_id)) for contact in contacts} == {("PUT", "POST /tags")}


async def test_redis_clock_jumps_while_jobs_are_in_flight(
    tmp_path: Path, redis: RedisServer, shifted: ShiftedClock
) -> None:
    async with new_sandbox() as sandbox:
        settings = settings_for(sandbox, redis.url, queue={"lease": LEASE_S})
        async with process(sandbox, tmp_path, settings) as daemon:
            await daemon.start()
            shifted.shift(HOUR)
            assert abs(await redis_is_off_by(redis) - HOUR) < 60, "the shift does not work"
            shifted.shift(0)
            await run_with_jumps(daemon, sandbox, shifted)


async def test_the_daemons_clock_jumps_while_jobs_are_in_flight(
    tmp_path: Path, redis_server: RedisServer, shifted: ShiftedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_redis(RedisSettings(url=redis_server.url)) as connection, new_sandbox() as sandbox:
        await connection.execute("FLUSHALL")
        settings = settings_for(sandbox, redis_server.url, queue={"lease": LEASE_S})
        async with process(sandbox, tmp_path, settings) as daemon:
            with monkeypatch.context() as patch:
                for name, value in shifted.environment.items():
                    patch.setenv(name, value)
                await daemon.start()
            assert "LD_PRELOAD" not in os.environ
            await run_with_jumps(daemon, sandbox, shifted)
            told = [datetime.fromisoformat(line["time"]) for line in daemon.lines]
            off = [at for at in told if abs(at - datetime.now(UTC)) > timedelta(minutes=50)]
            assert off, "the daemon's log shows no jump: the shift does not work"


async def test_the_dead_leave_nothing_stuck_behind_a_clock_set_back(
    tmp_path: Path, redis: RedisServer, shifted: ShiftedClock
) -> None:
    """Neither a lease nor a suspect's turn that a dead daemon held lasts an hour longer, whatever Redis' clock says."""
    hang = Fault("hang")
    async with new_sandbox() as sandbox:
        sandbox.faults.add(hang, times=2, match=Match(path="PropertyDetail"))
        usual = {"queue": {"lease": LEASE_S}, "realestateapi": {"timeout": 2.0}}
        one = settings_for(sandbox, redis.url, **usual)
        two = settings_for(sandbox, redis.url, **usual, worker={"name": "worker-two"})
        async with process(sandbox, tmp_path / "one", one) as first, process(sandbox, tmp_path / "two", two) as second:
            await first.start()
            job_id = await first.tell(people(sandbox, 1)[0])
            for number, (dying, next_one) in enumerate([(first, second), (second, first)], start=1):
                await until(lambda runs=number: len(look_ups(sandbox)) == runs, f"look-up {number}")
                await dying.kill()
                shifted.shift(-HOUR * number)
                await next_one.start()
            back = time.monotonic()
            [job] = await first.ended([job_id], within_s=20)
            assert time.monotonic() - back < 2 * LEASE_S + LEASE_S / 3 + 2.0
            assert job["state"] == "SUCCEEDED"
            assert events_of(job) == ["queued", *(["started", "stalled"] * 2), "started", "completed"]
