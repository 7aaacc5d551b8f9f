"""Claiming ahead: as much as the slots finish while Redis answers, nothing beside long jobs, all of it given back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from worker_crew import Crew, MakeCrew, WaitUntil

from leadenrich.core.errors import ProviderOut
from leadenrich.core.job import Claim
from leadenrich.worker.ahead import AHEAD_MOST, Ahead


def known(*, concurrency: int = 5, run_s: float, claim_s: float = 0.001, ending_s: float = 0.001) -> Ahead:
    """After many jobs and calls of the same length."""
    ahead = Ahead(concurrency)
    for _ in range(100):
        ahead.claimed(claim_s)
        ahead.ran(run_s)
        ahead.ended(ending_s)
    return ahead


def test_nothing_is_held_until_the_first_job_has_shown_how_long_it_takes() -> None:
    ahead = Ahead(5)
    ahead.claimed(0.01)
    assert ahead.jobs == 0
    ahead.ran(0.0001)
    assert ahead.jobs > 0
    ahead.forget()
    assert ahead.jobs == 0


def test_as_many_as_the_slots_finish_during_a_claim_and_an_ending() -> None:
    assert known(run_s=0.001).jobs == pytest.approx(10, abs=1)
    assert known(concurrency=100, run_s=0.01).jobs == pytest.approx(20, abs=1)


def test_a_look_up_of_a_real_lead_takes_too_long_for_any_to_be_held() -> None:
    assert known(run_s=0.2).jobs == 0
    assert known(concurrency=500, run_s=0.2, claim_s=0.05).jobs == 0


def test_there_is_a_bound_however_short_the_jobs_are() -> None:
    assert known(concurrency=500, run_s=0.0, claim_s=1.0).jobs == AHEAD_MOST


def test_a_job_that_found_no_slot_tells_that_the_others_are_long() -> None:
    ahead = known(run_s=0.0001)
    ahead.stuck()
    assert ahead.jobs == 0


class Counted:
    """How many jobs the pool asked for beside those that it had a slot for, at each claim."""

    def __init__(self, crew: Crew, monkeypatch: pytest.MonkeyPatch, concurrency: int) -> None:
        self.most = 0
        self.claims = 0
        claim = crew.queue.claim

        async def counted(want: int, *, running: int) -> Any:
            self.claims += 1
            self.most = max(self.most, want + running - concurrency)
            return await claim(want, running=running)

        monkeypatch.setattr(crew.queue, "claim", counted)


def slow_to_claim(ahead: Ahead) -> Ahead:
    """As if a claim took long beside the jobs that are to come, so that many are held."""
    for _ in range(100):
        ahead.claimed(1.0)
    ahead.ran(0.001)
    assert ahead.jobs == AHEAD_MOST
    return ahead


async def test_brief_jobs_are_claimed_ahead_and_never_more_run_at_once_than_allowed(
    make_crew: MakeCrew, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    crew = make_crew(concurrency=2)
    counted = Counted(crew, monkeypatch, 2)
    contacts = [f"c{number}" for number in range(200)]
    for contact in contacts:
        await crew.desk.new(contact)
    async with crew.at_work():
        await wait_until(lambda: crew.ended(*contacts))
    assert crew.script.most <= 2
    assert counted.most > 0
    assert counted.claims < 50  # not one for each two jobs
    assert [claim.contact_id for claim in crew.script.runs] == contacts
    assert crew.pool.claims == []


async def test_beside_long_jobs_nothing_is_claimed_ahead(
    make_crew: MakeCrew, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    crew = make_crew(concurrency=4)
    counted = Counted(crew, monkeypatch, 4)
    contacts = [f"c{number}" for number in range(12)]
    for contact in contacts:
        await crew.desk.new(contact)

    async def long(claim: Claim, steps: object) -> None:
        await asyncio.sleep(0.06)

    crew.script.act = long
    async with crew.at_work():
        await wait_until(lambda: crew.ended(*contacts))
    assert counted.most == 0


async def many(crew: Crew, act: Any) -> list[str]:
    """20 jobs wait for a worker that will take them all at once, whatever slots it has; their ids."""
    crew.script.act = act
    slow_to_claim(crew.pool._ahead)
    return [await crew.desk.new(f"c{number}") for number in range(20)]


async def test_on_the_way_down_what_waits_for_a_slot_goes_back_at_once(
    make_crew: MakeCrew, wait_until: WaitUntil
) -> None:
    crew, gate = make_crew(concurrency=2), asyncio.Event()

    async def act(claim: Claim, steps: object) -> None:
        await gate.wait()

    ids = await many(crew, act)
    async with crew.at_work():
        await wait_until(lambda: len(crew.pool.claims) == 20)
        crew.stop.set()
        await wait_until(lambda: len(crew.pool.claims) == 2)  # while the two that run still do
        for job_id in ids[2:]:
            job = await crew.desk.job(job_id)
            assert (job.state, job.attempts_made, job.stalled_count, job.error) == ("QUEUED", 0, 0, None)
        gate.set()
    assert await crew.ended("c0", "c1")
    assert {claim.contact_id for claim in await crew.desk.claim(20)} == {f"c{number}" for number in range(2, 20)}


async def test_what_finds_no_slot_goes_back_for_others_to_take(
    make_crew: MakeCrew, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leadenrich.worker.pool.HELD_S", 0.05)
    crew, gate = make_crew(concurrency=2), asyncio.Event()

    async def act(claim: Claim, steps: object) -> None:
        await gate.wait()

    await many(crew, act)
    async with crew.at_work():
        await wait_until(lambda: len(crew.pool.claims) == 20)
        await wait_until(lambda: len(crew.pool.claims) == 2)
        assert {claim.attempt for claim in await crew.desk.claim(20)} == {1}
        assert crew.told.names("c2") == ["queued"]
        gate.set()


async def test_behind_a_job_whose_provider_is_paused_nothing_more_is_begun(
    make_crew: MakeCrew, wait_until: WaitUntil
) -> None:
    crew, gate = make_crew(concurrency=1), asyncio.Event()

    async def act(claim: Claim, steps: object) -> None:
        await gate.wait()
        raise ProviderOut("401", provider="realestateapi", kind="auth")

    ids = await many(crew, act)
    async with crew.at_work():
        await wait_until(lambda: len(crew.pool.claims) == 20)
        gate.set()
        await wait_until(lambda: not crew.pool.claims)
    assert [claim.contact_id for claim in crew.script.runs] == ["c0"]
    assert [(await crew.desk.job(job_id)).attempts_made for job_id in ids] == [0] * 20


async def test_the_heart_beats_for_what_waits_too(make_crew: MakeCrew, wait_until: WaitUntil) -> None:
    crew, gate = make_crew(concurrency=2), asyncio.Event()

    async def act(claim: Claim, steps: object) -> None:
        await gate.wait()

    await many(crew, act)
    async with crew.at_work():
        await wait_until(lambda: len(crew.pool.claims) == 20)
        before = {lease.job_id: lease.beat for lease in await crew.queue.leases()}
        await crew.heart.beat()
        after = {lease.job_id: lease.beat for lease in await crew.queue.leases()}
        assert len(after) == 20
        assert all(after[job_id] > beat for job_id, beat in before.items())
        gate.set()
