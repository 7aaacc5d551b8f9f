"""The queue's verbs: leads in, claimed once, settled once, kept as long as said."""

from __future__ import annotations

import asyncio

import pytest
from queue_desk import Desk, MakeDesk

from leadenrich.core.job import Lane, Outcome, Reason
from leadenrich.store.errors import JobGone, StoreRefused, WrongState
from leadenrich.store.job_id import new_job_id
from leadenrich.store.schema import SCHEMA_VERSION
from leadenrich.store.views import JobQuery


def events(timeline: list[dict[str, object]]) -> list[object]:
    return [entry["event"] for entry in timeline]


# --- claim ---------------------------------------------------------------------------------------------------------


async def test_a_lead_is_claimed_once_and_completed_once(desk: Desk) -> None:
    job_id = await desk.new()
    claim = await desk.one()
    assert (claim.job_id, claim.attempt, claim.max_attempts, claim.rerun) == (job_id, 1, 3, False)
    assert (claim.lead.address.city, claim.alone, claim.probe, claim.lane) == ("Springfield", False, False, Lane.LIVE)
    assert await desk.claim(5, running=1) == []
    await desk.complete(claim, Outcome.DISQUALIFIED, "MLS_ACTIVE", "LOW_EQUITY")
    job = await desk.job(job_id)
    assert (job.state, job.outcome, job.disqualified_by) == ("SUCCEEDED", "DISQUALIFIED", ["MLS_ACTIVE", "LOW_EQUITY"])
    assert events(job.timeline) == ["queued", "started", "completed"]
    assert await desk.connection.execute("EXISTS", desk.keys.lease, desk.keys.wait_live) == 0


async def test_leads_are_claimed_in_the_order_they_came(desk: Desk) -> None:
    ids = [await desk.new(f"c{number}") for number in range(7)]
    assert [claim.job_id for claim in await desk.claim(5)] == ids[:5]
    assert [claim.job_id for claim in await desk.claim(5, running=5)] == ids[5:]


async def test_live_leads_go_first_and_every_tenth_claim_is_bulk(desk: Desk) -> None:
    for number in range(30):
        await desk.new(f"b{number}", lane=Lane.BULK)
        await desk.new(f"l{number}")
    lanes = [(await desk.one()).lane for _ in range(30)]
    assert lanes.count(Lane.BULK) == 3
    assert lanes[:9] == [Lane.LIVE] * 9
    rest = [(await desk.one()).lane for _ in range(30)]
    assert rest.count(Lane.LIVE) == 3
    assert await desk.claim() == []


async def test_a_batch_of_claims_keeps_the_share_of_the_bulk_lane(desk: Desk) -> None:
    for number in range(20):
        await desk.new(f"b{number}", lane=Lane.BULK)
        await desk.new(f"l{number}")
    lanes = [claim.lane for claim in await desk.claim(20)]
    assert lanes.count(Lane.BULK) == 2


async def test_a_claim_says_when_the_next_job_is_due(desk: Desk) -> None:
    assert (await desk.grant()).next_s is None
    await desk.new()
    await desk.retry(await desk.one(), 30.0)
    grant = await desk.grant()
    assert grant.claims == ()
    assert grant.next_s is not None
    assert 29.0 < grant.next_s <= 30.0


async def test_ids_sort_by_time_and_are_url_safe() -> None:
    ids = [new_job_id(1_700_000_000_000 + step) for step in range(0, 5_000, 7)]
    assert ids == sorted(ids)
    assert all(len(job_id) == 16 and job_id.isalnum() for job_id in ids)
    assert len({new_job_id(1) for _ in range(1_000)}) == 1_000


# --- retry, release, bury ------------------------------------------------------------------------------------------


async def test_a_retry_is_claimed_when_it_is_due(desk: Desk) -> None:
    job_id = await desk.new()
    await desk.retry(await desk.one(), 30.0)
    job = await desk.job(job_id)
    assert (job.state, job.attempts_made, job.error) == ("RETRY_SCHEDULED", 1, "502")
    assert job.next_attempt_at is not None
    assert await desk.claim() == []
    await desk.make_due(job_id)
    claim = await desk.one()
    assert (claim.attempt, claim.rerun) == (2, True)
    assert (await desk.job(job_id)).next_attempt_at is None
    assert events((await desk.job(job_id)).timeline) == ["queued", "started", "retrying", "started"]


async def test_no_retry_is_claimed_early(desk: Desk) -> None:
    """By Redis' own clock: the due time is in the future until it is claimed."""
    await desk.new()
    await desk.retry(await desk.one(), 0.05)
    [(_, due)] = await desk.connection.execute("ZRANGE", desk.keys.sched, 0, -1, "WITHSCORES")
    while not await desk.claim():
        assert await desk.time_ms() < float(due) + 2_000
    assert await desk.time_ms() >= float(due)


async def test_a_job_handed_back_goes_to_the_front_of_its_lane_with_its_try(desk: Desk) -> None:
    first = await desk.new("c1", lane=Lane.BULK)
    await desk.new("c2", lane=Lane.BULK)
    claim = await desk.one()
    assert await desk.release(claim)
    job = await desk.job(first)
    assert (job.state, job.attempts_made, job.error) == ("QUEUED", 0, None)
    again = await desk.one()
    assert (again.job_id, again.attempt, again.rerun) == (first, 1, True)
    assert again.token != claim.token


async def test_a_throttled_job_waits_until_the_named_time_and_keeps_its_try(desk: Desk) -> None:
    job_id = await desk.new()
    until = await desk.time_ms() + 60_000
    assert await desk.release(await desk.one(), "throttled", until)
    job = await desk.job(job_id)
    assert (job.state, job.attempts_made) == ("QUEUED", 0)
    assert job.next_attempt_at is not None
    assert events(job.timeline)[-1] == "throttled"
    assert await desk.claim() == []
    await desk.make_due(job_id)
    claim = await desk.one()
    assert (claim.job_id, claim.attempt) == (job_id, 1)


async def test_a_job_throttled_for_too_long_is_refused_and_stays_in_hand(make_desk: MakeDesk) -> None:
    desk = make_desk(throttle_deadline=3600.0)
    job_id = await desk.new()
    claim = await desk.one()
    assert await desk.release(claim, "throttled", 0)
    claim = await desk.one()
    await desk.connection.execute("HSET", desk.keys.job(job_id), "throttled", await desk.time_ms() - 3_600_100)
    assert not await desk.release(claim, "throttled", 0)
    assert await desk.state(job_id) == "PROCESSING"
    await desk.bury(claim, Reason.THROTTLED_TOO_LONG)
    job = await desk.job(job_id)
    assert (job.state, job.reason, job.attempts_made) == ("FAILED_FINAL", "throttled_too_long", 1)


async def test_other_ways_back_know_no_deadline(make_desk: MakeDesk) -> None:
    desk = make_desk(throttle_deadline=0.0)
    await desk.new()
    for why in ("provider_paused", "shutdown", "store_away"):
        assert await desk.release(await desk.one(), why)


async def test_a_buried_job_tells_why(desk: Desk) -> None:
    job_id = await desk.new()
    await desk.bury(await desk.one(), Reason.REJECTED_BY_PROVIDER)
    job = await desk.job(job_id)
    assert (job.state, job.reason, job.outcome, job.error) == ("FAILED_FINAL", "rejected_by_provider", None, "no")
    assert job.timeline[-1]["trace"] == "trace"


# --- retention -----------------------------------------------------------------------------------------------------


async def test_the_newest_are_kept_and_older_ones_go_whole(make_desk: MakeDesk) -> None:
    desk = make_desk(keep_succeeded=2, keep_failed=1)
    done, dead = [], []
    for number in range(5):
        done.append(await desk.new(f"d{number}"))
        claim = await desk.one()
        await desk.queue.checkpoint(claim, "lookup", result=b"x", credits=1)
        await desk.complete(claim)
    for number in range(3):
        dead.append(await desk.new(f"f{number}"))
        await desk.bury(await desk.one())
    for job_id in (*done[:3], *dead[:2]):
        assert await desk.connection.execute("KEYS", f"*{job_id}*") == []
    kept = {job.id for job in (await desk.views.jobs(JobQuery(limit=200))).jobs}
    assert kept == {*done[3:], *dead[2:]}
    stats = await desk.views.stats()
    assert stats.lanes["live"] == {
        "QUEUED": 0, "PROCESSING": 0, "RETRY_SCHEDULED": 0, "SUCCEEDED": 2, "FAILED_FINAL": 1,
    }  # fmt: skip
    assert stats.totals["credits"] == 5


async def test_retention_keeps_up_with_the_largest_batch(make_desk: MakeDesk) -> None:
    """128 jobs that finish in one call must not outgrow what one call removes."""
    desk = make_desk(keep_succeeded=3)
    for number in range(200):
        await desk.new(f"c{number}")
    await asyncio.gather(*(desk.complete(claim) for claim in await desk.claim(200)))
    assert await desk.connection.execute("ZCARD", desk.keys.done) == 3


@pytest.mark.parametrize("end", ["complete", "bury", "cancel", "delete"])
async def test_what_a_finished_job_knew_of_the_lead_ends_with_its_retention(make_desk: MakeDesk, end: str) -> None:
    desk = make_desk(payload_retention=100.0)
    job_id = await desk.new()
    claim = await desk.one()
    await desk.queue.checkpoint(claim, "lookup", result=b"x")
    assert await desk.connection.execute("PTTL", desk.keys.load(job_id)) == -1
    if end in ("cancel", "delete"):
        await desk.release(claim)
    match end:
        case "complete":
            await desk.complete(claim)
        case "bury":
            await desk.bury(claim)
        case "cancel":
            await desk.queue.cancel(job_id, by="ops")
        case _:
            await desk.submit(kind="delete")
    for key in (desk.keys.load(job_id), desk.keys.steps(job_id)):
        assert 0 < await desk.connection.execute("PTTL", key) <= 100_000
    await desk.connection.execute("DEL", desk.keys.load(job_id))
    assert (await desk.job(job_id)).lead is None


async def test_a_succeeded_jobs_results_are_dropped_at_once(desk: Desk) -> None:
    job_id = await desk.new()
    claim = await desk.one()
    await desk.queue.checkpoint(claim, "lookup", result=b"a record", credits=1)
    await desk.complete(claim)
    assert b"a record" not in str(await desk.connection.execute("HGETALL", desk.keys.steps(job_id))).encode()
    [step] = (await desk.job(job_id)).steps
    assert (step.name, step.credits, step.cached) == ("lookup", 1, False)


# --- operators -----------------------------------------------------------------------------------------------------


async def test_a_waiting_job_can_be_cancelled(desk: Desk) -> None:
    queued = await desk.new("c1")
    scheduled = await desk.new("c2", lane=Lane.BULK)
    [claim, other] = await desk.claim(2)
    assert claim.job_id == queued
    await desk.retry(other)
    await desk.release(claim)
    for job_id in (queued, scheduled):
        await desk.queue.cancel(job_id, by='root "x"\n')
        job = await desk.job(job_id)
        assert (job.state, job.reason, job.error) == ("FAILED_FINAL", "cancelled", "cancelled by root x")
    assert await desk.claim(5) == []


async def test_cancel_and_retry_in_the_wrong_state_are_refused(desk: Desk) -> None:
    job_id = await desk.new()
    with pytest.raises(WrongState):
        await desk.queue.revive(job_id, by="ops")
    claim = await desk.one()
    for verb in (desk.queue.cancel, desk.queue.revive):
        with pytest.raises(WrongState):
            await verb(job_id, by="ops")
    await desk.complete(claim)
    for verb in (desk.queue.cancel, desk.queue.revive):
        with pytest.raises(WrongState):
            await verb(job_id, by="ops")
        with pytest.raises(JobGone):
            await verb("nobody", by="ops")


async def test_cancelling_in_the_middle_of_a_contacts_row_closes_the_gap(desk: Desk) -> None:
    await desk.new(street="1 First St")
    first = await desk.one()
    second = await desk.new(street="2 Second St")
    third = await desk.new(street="3 Third St")
    await desk.queue.cancel(second, by="ops")
    assert await desk.claim(5, running=1) == []
    await desk.complete(first)
    assert (await desk.one()).job_id == third


async def test_after_a_cancelled_follower_the_next_lead_still_waits_for_the_job_at_work(desk: Desk) -> None:
    await desk.new(street="1 First St")
    first = await desk.one()
    await desk.queue.cancel(await desk.new(street="2 Second St"), by="ops")
    third = await desk.new(street="3 Third St")
    assert await desk.claim(5, running=1) == []
    await desk.complete(first)
    assert (await desk.one()).job_id == third


async def test_a_failed_job_is_worked_on_again_from_its_last_good_step(desk: Desk) -> None:
    job_id = await desk.new()
    claim = await desk.one()
    await desk.queue.checkpoint(claim, "lookup", result=b"bought", credits=1)
    await desk.bury(claim)
    await desk.queue.revive(job_id, by="ops")
    job = await desk.job(job_id)
    assert (job.state, job.attempts_made, job.reason, job.finished_at, job.error) == ("QUEUED", 0, None, None, None)
    again = await desk.one()
    assert (again.attempt, again.rerun, again.steps["lookup"].result) == (1, True, b"bought")
    for key in (desk.keys.load(job_id), desk.keys.steps(job_id)):
        assert await desk.connection.execute("PTTL", key) == -1


async def test_a_revived_job_waits_for_the_contacts_job_at_work(desk: Desk) -> None:
    failed = await desk.new()
    await desk.bury(await desk.one())
    await desk.new()
    claim = await desk.one()
    await desk.queue.revive(failed, by="ops")
    assert await desk.claim(5, running=1) == []
    await desk.complete(claim)
    assert (await desk.one()).job_id == failed


async def test_a_revived_jobs_contact_is_not_remembered_for_ever(desk: Desk) -> None:
    job_id = await desk.new()
    await desk.bury(await desk.one())
    await desk.submit(kind="delete")
    await desk.queue.revive(job_id, by="ops")
    assert await desk.connection.execute("PTTL", desk.keys.seen("loc1", "c1")) > 0


async def test_a_failed_job_whose_lead_is_kept_no_longer_is_not_revived(desk: Desk) -> None:
    job_id = await desk.new()
    await desk.bury(await desk.one())
    await desk.connection.execute("DEL", desk.keys.load(job_id))
    with pytest.raises(WrongState, match="no_payload"):
        await desk.queue.revive(job_id, by="ops")


async def test_data_of_a_newer_version_is_refused(desk: Desk) -> None:
    await desk.queue.open()
    await desk.connection.execute("HSET", desk.keys.meta, "schema", SCHEMA_VERSION + 1)
    with pytest.raises(StoreRefused, match="newer leadenrich"):
        await desk.queue.open()
