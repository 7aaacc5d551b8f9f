"""Three daemons on one queue: they share the work and the rate, a pause holds for all, one that dies is missed soon."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import cycle
from pathlib import Path
from typing import Any

from arrivals import Lateness, all_asked, arrivals, most_in_a_second
from daemon_process import ADMIN, DaemonProcess, Job, look_ups, new_sandbox, people, process, settings_for, until
from redis_server import running

from leadenrich.sandbox.faults import Fault, Match
from leadenrich.sandbox.server import Sandbox

RATE = 10
LEASE_S = 1.0


@dataclass(frozen=True, slots=True)
class Crew:
    daemons: list[DaemonProcess]
    sandbox: Sandbox

    async def tell(self, count: int, *, start: int = 0) -> list[str]:
        """That many leads, each to the next daemon; the ids of their jobs."""
        contacts = people(self.sandbox, count, start=start)
        turns = zip(cycle(self.daemons), contacts, strict=False)
        return list(await asyncio.gather(*(daemon.tell(contact) for daemon, contact in turns)))

    async def act(self, by: DaemonProcess, what: str) -> None:
        headers = {"Authorization": f"Bearer {ADMIN}", "Content-Type": "application/json"}
        status, answer, _ = await by.post(f"/api/v1/{what}", b"{}", headers)
        assert status == 200, answer


@asynccontextmanager
async def crew_of_three(folder: Path, **sections: Any) -> AsyncIterator[Crew]:
    (folder / "redis").mkdir()
    with running(folder / "redis") as redis:
        async with new_sandbox() as sandbox, AsyncExitStack() as stack:
            daemons = []
            for name in ("one", "two", "three"):
                mine = {**sections, "worker": {**sections.get("worker", {}), "name": name}}
                settings = settings_for(sandbox, redis.url, **mine)
                daemons.append(await stack.enter_async_context(process(sandbox, folder / name, settings)))
            await asyncio.gather(*(daemon.start() for daemon in daemons))
            yield Crew(daemons, sandbox)


def runs_by(jobs: list[Job]) -> Counter[str]:
    """How many runs each daemon made."""
    return Counter(
        entry["by"].partition("/")[0] for job in jobs for entry in job["timeline"] if entry["event"] == "started"
    )


async def test_they_share_the_work_and_one_rate_and_a_pause_holds_for_all(tmp_path: Path) -> None:
    paced = {"worker": {"rate_scope": "shared", "rate_per_second": RATE}, "realestateapi": {"rate_per_second": RATE}}
    async with crew_of_three(tmp_path, **paced) as crew:
        one, two, three = crew.daemons
        await crew.act(one, "queue/pause")
        ids = await crew.tell(60)
        assert {job["state"] for job in (await two.jobs()).values()} == {"QUEUED"}
        assert look_ups(crew.sandbox) == []
        await crew.act(three, "queue/resume")
        async with Lateness(*crew.daemons) as lateness:
            await all_asked(crew.sandbox, 60)
        jobs = await two.ended(ids)
        times = arrivals(crew.sandbox)
        assert {job["state"] for job in jobs} == {"SUCCEEDED"}
        assert len(times) == 60
        assert most_in_a_second(times, lateness) <= RATE
        assert min(runs_by(jobs)[name] for name in ("one", "two", "three")) > 0


async def test_an_outage_that_one_finds_stops_all_and_a_death_is_missed_within_two_leases(tmp_path: Path) -> None:
    async with crew_of_three(tmp_path, queue={"lease": LEASE_S, "backoff_delay": 0.05}) as crew:
        one, two, three = crew.daemons
        crew.sandbox.faults.add(Fault("server_error"), times=None, match=Match(path="PropertyDetail"))
        ids = await crew.tell(40)
        for daemon in crew.daemons:
            await until(daemon.paused, "the pause, seen by each")
        await until(lambda: idle(one), "what was under way to come back")
        asked = len(look_ups(crew.sandbox))
        late = await crew.tell(3, start=40)
        for daemon in crew.daemons:
            known = await daemon.jobs()
            assert {known[job_id]["state"] for job_id in late} == {"QUEUED"}
        assert len(look_ups(crew.sandbox)) == asked
        crew.sandbox.faults.clear()
        crew.sandbox.faults.add(Fault("slow", seconds=1.0), times=None, match=Match(path="PropertyDetail"))
        await crew.act(two, "providers/realestateapi/resume")
        in_hand = await until(lambda: held_by(one, "three"), "the third daemon has jobs in hand")
        died = time.time()
        await three.kill()
        crew.sandbox.faults.clear()
        jobs = await one.ended([*ids, *late], within_s=30)
        assert {job["state"] for job in jobs} == {"SUCCEEDED"}
        missed = [entry for job in jobs for entry in job["timeline"] if entry["event"] == "stalled"]
        assert {job["id"] for job in jobs if any(it["event"] == "stalled" for it in job["timeline"])} >= set(in_hand)
        assert all(datetime.fromisoformat(it["time"]).timestamp() - died <= 2 * LEASE_S + 0.3 for it in missed)


async def idle(daemon: DaemonProcess) -> bool:
    return not any(job["state"] == "PROCESSING" for job in (await daemon.jobs()).values())


async def held_by(daemon: DaemonProcess, name: str) -> list[str]:
    jobs = [job for job in (await daemon.jobs()).values() if job["state"] == "PROCESSING"]
    return [job["id"] for job in jobs if job["timeline"][-1].get("by", "").startswith(f"{name}/")]
