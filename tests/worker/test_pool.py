"""The pool: as many as allowed and no more, asleep without polling, awake at once, and one way down."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from worker_crew import MakeCrew, WaitUntil

from leadenrich.core.job import Claim
from leadenrich.core.retry import Complete
from leadenrich.store.connection import Connection
from leadenrich.store.errors import StoreUnavailable
from leadenrich.worker.steps import JobSteps


class Gate:
    """Holds jobs at work until it opens."""

    def __init__(self) -> None:
        self.open = asyncio.Event()

    async def __call__(self, claim: Claim, steps: object) -> Complete | None:
        await self.open.wait()
        return None


async def test_all_that_waits_is_done_and_never_more_at_once_than_allowed(
    make_crew: MakeCrew, wait_until: WaitUntil
) -> None:
    crew, gate = make_crew(concurrency=3), Gate()

    async def brief(claim: Claim, steps: JobSteps) -> None:
        await gate.open.wait()
        await asyncio.sleep(0.002)

    crew.script.act = brief
    contacts = [f"c{number}" for number in range(40)]
    async with crew.at_work():
        for contact in contacts:
            await crew.desk.new(contact)
        await wait_until(lambda: crew.script.now == 3)
        gate.open.set()
        await wait_until(lambda: crew.ended(*contacts))
    assert crew.script.most == 3
    assert len(crew.script.runs) == 40


async def test_a_lead_that_comes_wakes_a_sleeping_pool_at_once(make_crew: MakeCrew, wait_until: WaitUntil) -> None:
    crew = make_crew()
    async with crew.at_work():
        waits = []
        for number in range(20):
            began = time.monotonic()
            await crew.desk.new(f"c{number}")
            await wait_until(lambda count=number: len(crew.script.runs) > count)
            waits.append(time.monotonic() - began)
    assert sorted(waits)[10] < 0.25


async def test_a_retry_wakes_it_when_it_is_due(make_crew: MakeCrew, wait_until: WaitUntil) -> None:
    crew = make_crew(backoff_delay=0.2)
    failed: list[float] = []

    async def once(claim: Claim, steps: object) -> None:
        if claim.attempt == 1:
            failed.append(time.monotonic())
            raise RuntimeError("our own bug")
        failed.append(time.monotonic())

    crew.script.act = once
    async with crew.at_work():
        await crew.desk.new()
        await wait_until(lambda: crew.ended("c1"))
    assert 0.2 <= failed[1] - failed[0] < 1.0


async def test_an_idle_pool_asks_nothing(make_real_crew: MakeCrew) -> None:
    """Redis' own count of commands over three idle seconds."""
    crew = make_real_crew()

    async def commands() -> int:
        stats = await crew.connection.execute("INFO", "commandstats")
        own = ("cmdstat_info", "cmdstat_config|get")
        return sum(entry["calls"] for name, entry in stats.items() if name not in own)

    async with crew.at_work():
        await crew.desk.new()
        while not crew.script.runs:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)  # it has gone to sleep
        before = await commands()
        await asyncio.sleep(3.0)
        asked = await commands() - before
    assert asked <= 1


async def test_a_full_pool_passes_the_marker_on(make_real_crew: MakeCrew, wait_until: WaitUntil) -> None:
    """Its listener took the marker for a lead that another daemon is free to take."""
    busy, free = make_real_crew("w1", concurrency=1), make_real_crew("w2", concurrency=1)
    gate = Gate()
    busy.script.act = gate
    async with busy.at_work():
        await busy.desk.new("first")
        await wait_until(lambda: busy.script.now == 1)
        async with free.at_work():
            await busy.desk.new("second")
            await wait_until(lambda: free.ended("second"))
        gate.open.set()
    assert [claim.contact_id for claim in busy.script.runs] == ["first"]


async def test_a_pool_that_ends_leaves_no_lead_unheard(make_real_crew: MakeCrew, wait_until: WaitUntil) -> None:
    ending, staying = make_real_crew("w1"), make_real_crew("w2")
    async with staying.at_work():
        async with ending.at_work():
            pass
        await staying.desk.new()
        await wait_until(lambda: staying.ended("c1"))


async def test_a_full_pool_hears_the_end(make_crew: MakeCrew, wait_until: WaitUntil) -> None:
    crew, gate = make_crew(concurrency=1), Gate()
    crew.script.act = gate
    async with crew.at_work():
        await crew.desk.new("c1")
        waits = await crew.desk.new("c2")
        await wait_until(lambda: crew.script.now == 1)
        crew.stop.set()
        asyncio.get_running_loop().call_later(0.05, gate.open.set)
    assert await crew.ended("c1")
    assert await crew.desk.state(waits) == "QUEUED"
    assert crew.pool.claims == []


async def test_what_does_not_finish_within_the_grace_is_handed_back_uncounted(
    make_crew: MakeCrew, wait_until: WaitUntil
) -> None:
    crew = make_crew(concurrency=3, grace_s=0.1)
    crew.script.act = Gate()
    async with crew.at_work():
        ids = [await crew.desk.new(f"c{number}") for number in range(3)]
        await wait_until(lambda: crew.script.now == 3)
    for job_id in ids:
        job = await crew.desk.job(job_id)
        assert (job.state, job.attempts_made, job.stalled_count, job.error) == ("QUEUED", 0, 0, None)
    assert await crew.desk.connection.execute("EXISTS", crew.desk.keys.lease) == 0
    assert [claim.attempt for claim in await crew.desk.claim(5)] == [1, 1, 1]
    assert await crew.connection.execute("ZCARD", crew.desk.keys.wake) <= 1


async def test_the_end_comes_soon_although_redis_is_away(
    make_crew: MakeCrew, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leadenrich.worker.runner.HAND_BACK_S", 0.2)
    monkeypatch.setattr("leadenrich.worker.pool.LISTENER_END_S", 0.2)
    crew = make_crew(grace_s=0.05)
    crew.script.act = Gate()
    async with crew.at_work():
        await crew.desk.new()
        await wait_until(lambda: crew.script.now == 1)
        away(monkeypatch, crew.connection)
        began = time.monotonic()
        crew.stop.set()
    assert time.monotonic() - began < 3.0


async def test_redis_away_and_back_in_the_middle(
    make_crew: MakeCrew, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is at work ends when it is back, and what comes then is claimed."""
    monkeypatch.setattr("leadenrich.worker.pool.AWAY_S", 0.05)
    crew, gate = make_crew(concurrency=3, lease=10.0), Gate()
    crew.script.act = gate
    async with crew.at_work():
        await crew.desk.new("c1")
        await crew.desk.new("c2")
        await wait_until(lambda: crew.script.now == 2)
        with monkeypatch.context() as broken:
            refused = away(broken, crew.connection)
            gate.open.set()
            await wait_until(lambda: len(refused) >= 2)
        await crew.desk.new("c3")
        await wait_until(lambda: crew.ended("c1", "c2", "c3"))
    assert crew.problems[-1] == ""
    assert {claim.attempt for claim in crew.script.runs} == {1}


def away(monkeypatch: pytest.MonkeyPatch, connection: Connection) -> list[Any]:
    """Every command fails as if nobody were there; those that were refused."""
    refused: list[Any] = []

    async def nobody(*command: Any, **more: Any) -> Any:
        refused.append(command[0])
        await asyncio.sleep(0)
        raise StoreUnavailable("Redis: away")

    monkeypatch.setattr(connection, "execute", nobody)
    monkeypatch.setattr(connection, "block", nobody)
    return refused


async def test_a_pool_that_cannot_claim_says_why_and_takes_it_back(
    make_crew: MakeCrew, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leadenrich.worker.pool.AWAY_S", 0.05)
    crew = make_crew()
    with monkeypatch.context() as broken:
        away(broken, crew.connection)
        working = crew.at_work()
        await working.__aenter__()
        await wait_until(lambda: "Redis: away" in crew.problems)
    await wait_until(lambda: crew.problems[-1] == "")
    await crew.desk.new()
    await wait_until(lambda: crew.ended("c1"))
    await working.__aexit__(None, None, None)


async def test_a_suspect_runs_while_nothing_else_does(make_crew: MakeCrew, wait_until: WaitUntil) -> None:
    crew = make_crew(concurrency=5, lease=30.0)
    contacts = [f"c{number}" for number in range(3)]
    for contact in contacts:
        await crew.desk.new(contact)
    await crew.desk.claim(3)
    for lease in await crew.queue.leases():
        await crew.queue.reclaim(lease.job_id, lease.beat)
    beside: list[tuple[str, int]] = []

    async def look(claim: Claim, steps: object) -> None:
        await asyncio.sleep(0.01)
        beside.append((claim.contact_id, crew.script.now))

    crew.script.act = look
    healthy = [f"h{number}" for number in range(10)]
    async with crew.at_work():
        for contact in healthy:
            await crew.desk.new(contact)
        await wait_until(lambda: crew.ended(*contacts, *healthy))
    assert {number for contact, number in beside if contact in contacts} == {1}
    assert max(number for contact, number in beside if contact in healthy) > 1


async def test_a_running_pool_empties_itself_for_a_suspect(make_crew: MakeCrew, wait_until: WaitUntil) -> None:
    crew, gate = make_crew(concurrency=2, lease=30.0), Gate()
    await crew.desk.new("suspect")
    await crew.desk.claim()
    [lease] = await crew.queue.leases()

    async def act(claim: Claim, steps: object) -> None:
        if claim.contact_id == "long":
            await gate.open.wait()
        if claim.contact_id == "suspect":
            assert crew.script.now == 1

    crew.script.act = act
    async with crew.at_work():
        await crew.desk.new("long")
        await wait_until(lambda: crew.script.now == 1)
        await crew.queue.reclaim(lease.job_id, lease.beat)
        await crew.desk.new("after")
        await asyncio.sleep(0.1)
        assert [claim.contact_id for claim in crew.script.runs] == ["long"]
        gate.open.set()
        await wait_until(lambda: crew.ended("long", "suspect", "after"))
    assert [claim.contact_id for claim in crew.script.runs] == ["long", "suspect", "after"]


async def test_a_job_that_comes_back_while_its_first_run_goes_on_confuses_nothing(
    make_crew: MakeCrew, wait_until: WaitUntil
) -> None:
    """Our own lease was taken back (the loop stood still for a lease), and we claim the job again ourselves."""
    crew, gate = make_crew(concurrency=2, lease=30.0), Gate()

    async def act(claim: Claim, steps: object) -> None:
        if len(crew.script.runs) == 1:
            await gate.open.wait()

    crew.script.act = act
    async with crew.at_work():
        await crew.desk.new()
        await wait_until(lambda: crew.script.now == 1)
        [lease] = await crew.queue.leases()
        await crew.queue.reclaim(lease.job_id, lease.beat)
        gate.open.set()
        await wait_until(lambda: crew.ended("c1"))
        await crew.desk.new("c2")
        await wait_until(lambda: crew.ended("c2"))
    assert crew.told.names("c1").count("completed") == 1
    assert crew.pool.claims == []


async def test_the_pool_says_when_its_claim_is_stuck(
    make_crew: MakeCrew, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    crew = make_crew()
    held = asyncio.Event()
    claim = crew.queue.claim

    async def slow(want: int, *, running: int) -> Any:
        await held.wait()
        return await claim(want, running=running)

    monkeypatch.setattr(crew.queue, "claim", slow)
    monkeypatch.setattr("leadenrich.worker.pool.STUCK_S", 0.05)
    assert crew.pool.alive
    async with crew.at_work():
        await wait_until(lambda: not crew.pool.alive)
        held.set()
        await wait_until(lambda: crew.pool.alive)
