"""The pace, counted where the vendor counts: by arrivals at the fake RealEstateAPI. And what an idle daemon costs."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.typedefs import Handler
from arrivals import Lateness, all_asked, arrivals, most_in_a_second
from daemon_process import DaemonProcess, look_ups, new_sandbox, people, process, settings_for, until
from redis_server import RedisServer, running

from leadenrich.sandbox.crm import FakeContact
from leadenrich.sandbox.faults import Fault, Match
from leadenrich.sandbox.server import Sandbox

pytestmark = pytest.mark.asyncio(loop_scope="module")

RATE = 20
AT_ONCE = 5
PACED = {"worker": {"name": "paced", "rate_per_second": RATE}, "realestateapi": {"rate_per_second": RATE}}


class Counter:
    """How many look-ups the vendor has under way, at most."""

    def __init__(self) -> None:
        self.now = self.most = 0

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.endswith("/PropertyDetail"):
            return await handler(request)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            return await handler(request)
        finally:
            self.now -= 1


@asynccontextmanager
async def scene(folder: Path, counter: Counter, **sections: Any) -> AsyncIterator[tuple[DaemonProcess, Sandbox]]:
    folder.mkdir(exist_ok=True)
    (folder / "redis").mkdir()
    with running(folder / "redis") as redis:
        async with (
            new_sandbox(middlewares=[counter.middleware]) as sandbox,
            process(sandbox, folder, settings_for(sandbox, redis.url, **sections)) as daemon,
        ):
            yield daemon, sandbox


async def test_never_more_than_the_rate_in_any_second(tmp_path: Path) -> None:
    """That nearly all of it is used, `make bench` measures, and the pace's own tests see it on a fake clock."""
    counter = Counter()
    async with scene(tmp_path, counter, **PACED) as (daemon, sandbox):
        sandbox.faults.add(Fault("slow", seconds=0.1), times=None, match=Match(path="PropertyDetail"))
        await daemon.start()
        ids = await asyncio.gather(*(daemon.tell(contact) for contact in people(sandbox, 80)))
        async with Lateness(daemon) as lateness:
            await all_asked(sandbox, 80)
        jobs = await daemon.ended(ids)
        assert {job["state"] for job in jobs} == {"SUCCEEDED"}
        times = arrivals(sandbox)
        assert len(times) == 80
        assert most_in_a_second(times, lateness) <= RATE
        assert counter.most <= AT_ONCE


async def test_a_restart_does_not_begin_the_second_anew(tmp_path: Path) -> None:
    """kill -9 and start: the vendor's second still holds what the dead process asked."""
    async with scene(tmp_path, Counter(), **PACED) as (daemon, sandbox):
        await daemon.start()
        ids = await asyncio.gather(*(daemon.tell(contact) for contact in people(sandbox, 2 * RATE)))
        async with Lateness(daemon) as lateness:
            await until(lambda: len(look_ups(sandbox)) >= RATE, "a second's worth")
            await daemon.kill()
            await daemon.start()
            await all_asked(sandbox, 2 * RATE)
        jobs = await daemon.ended(ids)
        assert {job["state"] for job in jobs} == {"SUCCEEDED"}
        assert most_in_a_second(arrivals(sandbox), lateness) <= RATE


async def test_over_reloads_old_and_new_jobs_keep_one_pace(tmp_path: Path) -> None:
    """Jobs that began before a reload are looked up beside those that begin after it: both wait at the same limiter."""
    rate, count = 20, 70
    sections = {
        "worker": {"name": "paced", "rate_per_second": 0, "concurrency": 30},
        "realestateapi": {"rate_per_second": rate},
    }
    async with scene(tmp_path, Counter(), **sections) as (daemon, sandbox):
        sandbox.faults.add(Fault("slow", seconds=0.4), times=None, match=Match(method="GET", path="/contacts/"))
        await daemon.start()
        leads = [{"contact_id": it.contact_id, "location_id": it.location_id} for it in people(sandbox, count)]
        answers = await asyncio.gather(*(daemon.workflow(lead) for lead in leads))
        async with Lateness(daemon) as lateness:
            for reloads in range(3):
                await until(lambda reloads=reloads: len(look_ups(sandbox)) >= 1 + 12 * reloads, "look-ups go on")
                daemon.signal(signal.SIGHUP)
                await until(lambda reloads=reloads: len(daemon.said("reloaded")) > reloads, "reloaded")
            await all_asked(sandbox, count)
        jobs = await daemon.ended([answer["job_id"] for _, answer in answers])
        assert {job["state"] for job in jobs} == {"SUCCEEDED"}
        assert most_in_a_second(arrivals(sandbox), lateness) <= rate


async def test_without_a_rate_five_are_at_work_at_once_and_no_more(tmp_path: Path) -> None:
    counter = Counter()
    async with scene(tmp_path, counter) as (daemon, sandbox):
        sandbox.faults.add(Fault("slow", seconds=0.1), times=None, match=Match(path="PropertyDetail"))
        await daemon.start()
        ids = await asyncio.gather(*(daemon.tell(contact) for contact in people(sandbox, 20)))
        await daemon.ended(ids)
        assert counter.most == AT_ONCE


IDLE_S = 10.5  # once round for every loop of the daemon but the free look at waiting leads
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Resting:
    """A daemon that has nothing to do, and what it had cost when it came to rest."""

    daemon: DaemonProcess
    sandbox: Sandbox
    redis: RedisServer
    late: FakeContact
    commands: int
    cpu_s: float
    since: float


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def resting(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Resting]:
    """It rests while the other tests of this file run: there is nothing to see of it meanwhile."""
    folder = tmp_path_factory.mktemp("resting")
    (folder / "redis").mkdir()
    with running(folder / "redis") as redis:
        async with new_sandbox() as sandbox:
            settings = settings_for(sandbox, redis.url, queue={"lease": 30.0})  # the default: beats follow it
            async with process(sandbox, folder, settings) as daemon:
                await daemon.start()
                *early, late = people(sandbox, 26)
                await daemon.ended([await daemon.tell(contact) for contact in early])
                before = commands_processed(redis), cpu_s(daemon.pid), time.monotonic()
                yield Resting(daemon, sandbox, redis, late, *before)


async def test_at_rest_it_costs_next_to_nothing(resting: Resting) -> None:
    """Less than one command a second, one percent of a core, 90 MiB; and a lead that comes wakes it at once."""
    daemon, redis = resting.daemon, resting.redis
    # The subject of the test, not a wait for something: what is left of its rest behind the other tests.
    await asyncio.sleep(resting.since + IDLE_S - time.monotonic())
    idle_s = time.monotonic() - resting.since
    assert idle_s >= IDLE_S
    assert (commands_processed(redis) - resting.commands) / idle_s <= 1.0
    assert (cpu_s(daemon.pid) - resting.cpu_s) / idle_s <= 0.01
    assert resident_mib(daemon.pid) < 90

    told = time.monotonic()
    await daemon.tell(resting.late)
    await until(lambda: len(look_ups(resting.sandbox)) == 26, "the look-up", within_s=2)
    assert arrivals(resting.sandbox)[-1] - told < 0.5


def commands_processed(redis: RedisServer) -> int:
    """Commands that others sent since the server's start: asking is not counted."""
    with socket.create_connection(("127.0.0.1", redis.port), timeout=2) as link, link.makefile("rwb") as stream:
        stream.write(b"INFO commandstats\r\n")
        stream.flush()
        size = int(stream.readline()[1:])
        lines = stream.read(size).decode().splitlines()
    counted = dict(line.removeprefix("cmdstat_").split(":calls=") for line in lines if line.startswith("cmdstat_"))
    return sum(int(rest.split(",")[0]) for name, rest in counted.items() if name != "info")


def cpu_s(pid: int) -> float:
    """Processor time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_mib(pid: int) -> float:
    [line] = [it for it in Path(f"/proc/{pid}/status").read_text().splitlines() if it.startswith("VmRSS:")]
    return int(line.split()[1]) / 1024
