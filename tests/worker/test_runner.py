"""One job: every error becomes one ending, told once, and only what is the lead's fault is charged to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from worker_crew import Crew, MakeCrew, WaitUntil

from leadenrich.core.errors import LostLease, Permanent, ProviderOut, Throttled, Transient
from leadenrich.core.job import Claim, Outcome, Reason
from leadenrich.core.retry import Complete
from leadenrich.store.errors import StoreUnavailable


def raising(error: BaseException) -> Callable[..., Awaitable[None]]:
    async def act(claim: Claim, steps: object) -> None:
        raise error

    return act


async def run(crew: Crew, act: Any = None, contact: str = "c1") -> Any:
    """One run of one lead; its job afterwards."""
    crew.script.act = act
    job_id = await crew.desk.new(contact)
    await crew.runner.run(await crew.desk.one())
    return await crew.desk.job(job_id)


async def test_a_good_run_is_complete(make_crew: MakeCrew) -> None:
    crew = make_crew()

    async def act(claim: Claim, steps: Any) -> Complete:
        await steps.intend("lookup")
        await steps.record("lookup", b"x", credits=1)
        return Complete(Outcome.DISQUALIFIED, ("MLS_ACTIVE",), "3 fields written")

    job = await run(crew, act)
    assert (job.state, job.outcome, job.disqualified_by) == ("SUCCEEDED", "DISQUALIFIED", ["MLS_ACTIVE"])
    assert job.timeline[-1]["note"] == "3 fields written"
    assert job.steps[0].credits == 1
    assert crew.told.names("c1") == ["started", "completed"]


async def test_a_transient_error_uses_up_tries_until_the_last(make_crew: MakeCrew, wait_until: WaitUntil) -> None:
    crew = make_crew()
    crew.script.act = raising(Transient("503", provider="realestateapi", status=503))
    async with crew.at_work():
        job_id = await crew.desk.new()
        await wait_until(lambda: crew.ended("c1"))
    job = await crew.desk.job(job_id)
    assert (job.state, job.reason, job.attempts_made) == ("FAILED_FINAL", "attempts_exhausted", 3)
    assert crew.told.names("c1") == ["started", "retrying", "started", "retrying", "started", "failed"]
    delays = [more["delay_s"] for event, _, more in crew.told.events if event == "retrying"]
    assert delays == [0.01, 0.02]
    assert crew.script.marks == ["c1"]


async def test_an_error_of_our_own_is_tried_again_and_then_told_with_its_stack(
    make_crew: MakeCrew, wait_until: WaitUntil
) -> None:
    crew = make_crew()
    crew.script.act = raising(ZeroDivisionError("oops"))
    async with crew.at_work():
        job_id = await crew.desk.new()
        await wait_until(lambda: crew.ended("c1"))
    job = await crew.desk.job(job_id)
    assert (job.reason, job.error) == ("internal_error", "ZeroDivisionError: oops")
    assert crew.script.marks == ["c1"]
    [failed] = [more for event, _, more in crew.told.events if event == "failed"]
    assert "Traceback" in failed["stack"]
    assert "Traceback" in job.timeline[-1]["trace"]


async def test_a_permanent_error_ends_the_job_at_once_and_leaves_no_failed_mark(make_crew: MakeCrew) -> None:
    crew = make_crew()
    error = Permanent("no", reason=Reason.PROPERTY_NOT_FOUND, outcome=Outcome.NO_MATCH, codes=("NO_MATCH",))
    job = await run(crew, raising(error))
    assert (job.state, job.reason, job.outcome) == ("FAILED_FINAL", "property_not_found", "NO_MATCH")
    assert job.disqualified_by == ["NO_MATCH"]
    assert (job.attempts_made, crew.script.marks) == (1, [])


async def test_a_throttle_costs_no_try_and_closes_the_provider_for_all(make_crew: MakeCrew) -> None:
    crew = make_crew()
    until = await crew.desk.time_ms() + 60_000
    job = await run(crew, raising(Throttled("429", provider="realestateapi", until_ms=until)))
    assert (job.state, job.attempts_made) == ("QUEUED", 0)
    assert job.next_attempt_at is not None
    await crew.desk.new("c2")
    assert await crew.desk.claim() == []
    assert crew.told.names("c1") == ["started", "throttled"]
    await crew.switches.resume_provider("realestateapi", why="ops")
    assert {claim.contact_id for claim in await crew.desk.claim(5)} == {"c1", "c2"}


async def test_a_lead_throttled_for_a_day_ends(make_crew: MakeCrew) -> None:
    crew = make_crew(throttle_deadline=0.0)
    error = Throttled("429", provider="ghl:loc1", until_ms=1)
    job_id = (await run(crew, raising(error))).id
    await crew.desk.connection.execute("HSET", crew.desk.keys.job(job_id), "throttled", 1)
    await crew.runner.run(await crew.desk.one())
    job = await crew.desk.job(job_id)
    assert (job.state, job.reason) == ("FAILED_FINAL", "throttled_too_long")
    assert crew.told.names("c1")[-1] == "failed"


@pytest.mark.parametrize("kind", ["auth", "credit", "certificate"])
async def test_a_provider_out_of_order_costs_nobody_a_try(make_crew: MakeCrew, kind: Any) -> None:
    crew = make_crew()
    job = await run(crew, raising(ProviderOut("401", provider="realestateapi", kind=kind)))
    assert (job.state, job.attempts_made, job.error) == ("QUEUED", 0, "401")
    assert await crew.desk.claim() == []
    assert crew.told.names("realestateapi") == ["provider_paused"]


async def test_a_run_that_takes_too_long_is_a_failed_try(make_crew: MakeCrew) -> None:
    crew = make_crew()
    crew.runner._limit.seconds = 0.05

    async def endless(claim: Claim, steps: object) -> None:
        await asyncio.Event().wait()

    job = await run(crew, endless)
    assert job.state == "RETRY_SCHEDULED"
    assert "took longer" in (job.error or "")


async def test_a_lost_lease_writes_nothing_and_is_no_error(make_crew: MakeCrew) -> None:
    crew = make_crew()

    async def act(claim: Claim, steps: Any) -> None:
        [lease] = await crew.queue.leases()
        await crew.queue.reclaim(lease.job_id, lease.beat)
        await steps.intend("lookup")

    job = await run(crew, act)
    assert (job.state, job.steps) == ("QUEUED", [])
    assert crew.told.names("c1") == ["started"]


async def test_a_lease_lost_on_the_way_to_the_end_writes_nothing_either(make_crew: MakeCrew) -> None:
    crew = make_crew()

    async def act(claim: Claim, steps: Any) -> None:
        [lease] = await crew.queue.leases()
        await crew.queue.reclaim(lease.job_id, lease.beat)

    assert (await run(crew, act)).state == "QUEUED"
    assert crew.told.names("c1") == ["started"]


async def test_without_redis_no_new_purchase_is_begun(make_crew: MakeCrew, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store is away in the middle: the intent fails at once, and the job goes back uncounted when it is there."""
    crew = make_crew()
    bought = []

    async def act(claim: Claim, steps: Any) -> None:
        with monkeypatch.context() as broken:
            broken.setattr(crew.queue, "checkpoint", _away)
            await steps.intend("lookup")
        bought.append(claim)

    job = await run(crew, act)
    assert (job.state, job.attempts_made, bought) == ("QUEUED", 0, [])
    assert crew.told.events[-1][2]["why"] == "store_away"


async def test_an_ending_waits_for_redis_to_come_back(make_crew: MakeCrew, monkeypatch: pytest.MonkeyPatch) -> None:
    crew = make_crew(lease=5.0)
    complete, calls = crew.queue.complete, []

    async def flaky(*args: Any) -> None:
        calls.append(args)
        if len(calls) < 3:
            raise StoreUnavailable("Redis: away")
        await complete(*args)

    monkeypatch.setattr(crew.queue, "complete", flaky)
    assert (await run(crew)).state == "SUCCEEDED"
    assert len(calls) == 3
    assert crew.told.names("c1") == ["started", "completed"]


async def test_a_redis_that_stays_away_leaves_the_job_to_its_lease(
    make_crew: MakeCrew, monkeypatch: pytest.MonkeyPatch
) -> None:
    crew = make_crew(lease=0.5)
    monkeypatch.setattr(crew.queue, "complete", _away)
    began = time.monotonic()
    job = await run(crew)
    assert job.state == "PROCESSING"
    assert 0.1 < time.monotonic() - began < 3


async def test_a_mark_that_cannot_be_left_changes_no_ending(make_crew: MakeCrew) -> None:
    crew = make_crew(attempts=1)

    async def broken(claim: Claim) -> None:
        raise Transient("GHL is away", provider="ghl:loc1")

    crew.script.leave_failed_mark = broken
    job = await run(crew, raising(RuntimeError("bug")))
    assert (job.state, job.reason) == ("FAILED_FINAL", "internal_error")


async def test_a_step_keeps_its_result_for_the_next_run(make_crew: MakeCrew) -> None:
    crew = make_crew()

    async def act(claim: Claim, steps: Any) -> None:
        await steps.intend("lookup")
        await steps.record("lookup", b"bought", credits=1)
        raise Transient("503", provider="ghl:loc1", status=503)

    job = await run(crew, act)
    await crew.desk.make_due(job.id)
    claim = await crew.desk.one()
    seen: list[bytes] = []

    async def again(claim: Claim, steps: Any) -> None:
        seen.append(steps.get("lookup").result)
        assert not steps.looked_up  # an old result proves nothing of the provider now

    crew.script.act = again
    await crew.runner.run(claim)
    assert seen == [b"bought"]


async def test_handing_back_what_is_ours_no_longer_is_no_error(make_crew: MakeCrew) -> None:
    crew = make_crew()
    await crew.desk.new()
    claim = await crew.desk.one()
    await crew.desk.complete(claim)
    await crew.runner.hand_back(claim)
    assert crew.told.names() == []


async def _away(*args: Any, **more: Any) -> Any:
    raise StoreUnavailable("Redis: away")


def test_the_error_of_a_lost_lease_is_not_a_trouble() -> None:
    assert not issubclass(LostLease, Transient)
