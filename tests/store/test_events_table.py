"""Which events start work: every row of the table, and the state that each leaves behind."""

from __future__ import annotations

import asyncio

import pytest
from queue_desk import Desk, MakeDesk

from leadenrich.core.job import Lane, Reason
from leadenrich.core.lead import EventKind

HOME, OTHER = "742 Evergreen Ter", "31 Spooner St"
NEW: tuple[EventKind, ...] = ("create", "workflow", "api", "import", "backfill")


async def waiting(desk: Desk) -> int:
    stats = await desk.views.stats()
    return sum(lane["QUEUED"] + lane["RETRY_SCHEDULED"] for lane in stats.lanes.values())


# --- a delivery seen before ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["create", "update", "tags", "opportunity"])
async def test_a_delivery_seen_before_answers_the_same_job(make_desk: MakeDesk, kind: EventKind) -> None:
    desk = make_desk(unknown_updates=True)
    first = await desk.submit(kind=kind, key="wh:1", tags=("enrich",))
    again = await desk.submit(kind=kind, key="wh:1", tags=("enrich",))
    assert (first.verb, again.verb) == ("queued", "duplicate")
    assert first.job_id == again.job_id
    assert await waiting(desk) == 1


async def test_a_delivery_is_known_for_its_window_whatever_became_of_the_job(make_desk: MakeDesk) -> None:
    """Retention removes the job at once; HighLevel's repetition three days later must not start it again."""
    desk = make_desk(keep_succeeded=0)
    job_id = await desk.new(key="wh:1")
    await desk.complete(await desk.one())
    assert await desk.views.job(job_id) is None
    again = await desk.submit(key="wh:1")
    assert (again.verb, again.job_id) == ("duplicate", job_id)
    [dedup] = await desk.connection.execute("KEYS", desk.keys.dedup("*"))
    assert 604_700_000 < await desk.connection.execute("PTTL", dedup) <= 604_800_000


async def test_a_failed_jobs_delivery_stays_a_duplicate(desk: Desk) -> None:
    job_id = await desk.new(key="wh:1")
    await desk.bury(await desk.one())
    again = await desk.submit(key="wh:1")
    assert (again.verb, again.job_id) == ("duplicate", job_id)


async def test_a_delivery_answered_as_duplicate_stays_bound_to_that_job(desk: Desk) -> None:
    job_id = await desk.new(key="wh:1")
    assert (await desk.submit(key="wh:2")).job_id == job_id
    await desk.bury(await desk.one())
    again = await desk.submit(key="wh:2")
    assert (again.verb, again.job_id) == ("duplicate", job_id)


# --- create, workflow, API -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", NEW)
async def test_the_same_contact_and_address_again_is_a_duplicate(desk: Desk, kind: EventKind) -> None:
    job_id = await desk.new(kind=kind)
    again = await desk.submit(kind=kind)
    assert (again.verb, again.job_id) == ("duplicate", job_id)
    await desk.complete(await desk.one())
    after = await desk.submit(kind=kind, street="742  EVERGREEN ter.")
    assert (after.verb, after.job_id) == ("duplicate", job_id)


@pytest.mark.parametrize("kind", NEW)
async def test_after_a_failure_the_same_lead_is_worked_on_again(desk: Desk, kind: EventKind) -> None:
    job_id = await desk.new(kind=kind)
    await desk.bury(await desk.one())
    assert await desk.new(kind=kind) != job_id


async def test_the_duplicate_window_ends(make_desk: MakeDesk) -> None:
    desk = make_desk(dedup_window=0.0)
    job_id = await desk.new()
    await desk.complete(await desk.one())
    assert await desk.new() != job_id


async def test_another_location_contact_or_address_is_another_lead(desk: Desk) -> None:
    ids = {
        await desk.new(),
        await desk.new(location_id="loc2"),
        await desk.new(contact="c2"),
        await desk.new(street=OTHER),
    }
    assert len(ids) == 4


async def test_a_workflow_key_answers_the_same_job_within_its_window(desk: Desk) -> None:
    job_id = await desk.new(kind="workflow", key="wf:1", window_s=600)
    again = await desk.submit(kind="workflow", key="wf:1", window_s=600)
    assert (again.verb, again.job_id) == ("duplicate", job_id)
    [dedup] = await desk.connection.execute("KEYS", desk.keys.dedup("*"))
    assert 590_000 < await desk.connection.execute("PTTL", dedup) <= 600_000


async def test_a_workflow_may_send_again_what_failed(desk: Desk) -> None:
    job_id = await desk.new(kind="workflow", key="wf:1", window_s=600)
    await desk.bury(await desk.one(), Reason.MISSING_ADDRESS)
    again = await desk.new(kind="workflow", key="wf:1", window_s=600)
    assert again != job_id
    assert (await desk.submit(kind="workflow", key="wf:1", window_s=600)).job_id == again


async def test_a_to_b_to_a_is_enriched_each_time(desk: Desk) -> None:
    ids = []
    for street in (HOME, OTHER, HOME):
        ids.append(await desk.new(street=street))
        await desk.complete(await desk.one())
    assert len(set(ids)) == 3


# --- updates -------------------------------------------------------------------------------------------------------


async def test_a_changed_address_starts_a_job(desk: Desk) -> None:
    first = await desk.new()
    await desk.complete(await desk.one())
    second = await desk.new(street=OTHER, kind="update")
    assert second != first
    assert (await desk.one()).lead.address.line1 == OTHER


async def test_while_a_job_waits_its_address_is_replaced(desk: Desk) -> None:
    job_id = await desk.new()
    update = await desk.submit(street=OTHER, kind="update", key="wh:2")
    assert (update.verb, update.job_id) == ("duplicate", job_id)
    assert await waiting(desk) == 1
    assert (await desk.submit(street=OTHER, kind="update", key="wh:2")).job_id == job_id
    claim = await desk.one()
    assert (claim.job_id, claim.lead.address.line1) == (job_id, OTHER)


async def test_a_scheduled_retry_gets_the_new_address_too(desk: Desk) -> None:
    job_id = await desk.new()
    await desk.retry(await desk.one())
    update = await desk.submit(street=OTHER, kind="update")
    assert (update.verb, update.job_id) == ("duplicate", job_id)
    assert await desk.state(job_id) == "RETRY_SCHEDULED"
    await desk.make_due(job_id)
    claim = await desk.one()
    assert (claim.attempt, claim.lead.address.line1) == (2, OTHER)


async def test_while_a_job_is_at_work_the_new_one_waits_for_its_end(desk: Desk) -> None:
    first = await desk.new()
    claim = await desk.one()
    second = await desk.new(street=OTHER, kind="update")
    assert await desk.claim(5, running=1) == []
    third = await desk.submit(street="1 Third St", kind="update")
    assert (third.verb, third.job_id) == ("duplicate", second)  # the one that waits takes the newest address
    await desk.complete(claim)
    next_claim = await desk.one()
    assert (next_claim.job_id, next_claim.lead.address.line1) == (second, "1 Third St")
    assert await desk.state(first) == "SUCCEEDED"


async def test_the_next_job_goes_whatever_way_the_first_one_ends(desk: Desk) -> None:
    for number, end in enumerate([desk.complete, desk.bury]):
        contact = f"c{number}"
        await desk.new(contact)
        claim = await desk.one()
        second = await desk.new(contact, OTHER, kind="update")
        await end(claim)
        assert (await desk.one()).job_id == second


async def test_a_retry_keeps_the_next_job_waiting(desk: Desk) -> None:
    first = await desk.new()
    claim = await desk.one()
    second = await desk.new(street=OTHER, kind="update")
    await desk.retry(claim)
    await desk.make_due(second)  # the fallback looks, and finds that it is not its turn
    assert await desk.claim(5) == []
    await desk.make_due(first)
    again = await desk.one()
    assert again.job_id == first
    await desk.complete(again)
    assert (await desk.one()).job_id == second


async def test_the_last_known_address_is_ignored(desk: Desk) -> None:
    """Our own write comes back as an update: it must start nothing."""
    await desk.new()
    await desk.complete(await desk.one())
    echo = await desk.submit(kind="update", street="742 evergreen TER")
    assert (echo.verb, echo.job_id, echo.why) == ("ignored", None, "address unchanged")
    assert await waiting(desk) == 0


async def test_an_update_of_a_contact_never_seen_is_ignored_but_remembered(desk: Desk) -> None:
    assert (await desk.submit(kind="update")).why == "contact never seen"
    assert (await desk.submit(kind="update")).verb == "ignored"
    await desk.new(kind="create")  # no job was made for it, so this is no duplicate


async def test_unknown_updates_start_work_where_that_is_asked_for(make_desk: MakeDesk) -> None:
    desk = make_desk(unknown_updates=True)
    assert (await desk.submit(kind="update")).verb == "queued"


async def test_an_update_without_an_address_is_ignored(desk: Desk) -> None:
    await desk.new()
    assert (await desk.submit(street="", kind="update")).why == "no address"


async def test_an_update_that_was_overtaken_is_ignored(desk: Desk) -> None:
    await desk.new(event_ms=1_000)
    newer = await desk.submit(street=OTHER, kind="update", event_ms=3_000)
    assert newer.verb == "duplicate"
    older = await desk.submit(street="1 Late St", kind="update", event_ms=2_000)
    assert (older.verb, older.why) == ("ignored", "older than what is known of this contact")
    assert (await desk.one()).lead.address.line1 == OTHER


async def test_a_creation_that_was_overtaken_works_on_the_contact_as_it_is_read(desk: Desk) -> None:
    """ContactCreate (at A) after its ContactUpdate (to B): the old address must neither win nor be remembered."""
    await desk.submit(street=OTHER, kind="update", event_ms=2_000)
    job_id = await desk.new(street=HOME, kind="create", event_ms=1_000)
    claim = await desk.one()
    assert (claim.job_id, claim.attempt, claim.rerun) == (job_id, 1, True)
    assert (await desk.submit(street=OTHER, kind="update", event_ms=3_000)).why == "address unchanged"


# --- tags, opportunities -------------------------------------------------------------------------------------------


async def test_a_trigger_tag_starts_work_once(desk: Desk) -> None:
    await desk.new()
    await desk.complete(await desk.one())
    assert (await desk.submit(kind="tags", tags=("vip",))).why == "no new trigger tag"
    job_id = await desk.new(kind="tags", tags=("vip", "ENRICH"))
    await desk.complete(await desk.one())
    assert (await desk.submit(kind="tags", tags=("enrich", "vip"))).verb == "ignored"
    assert (await desk.submit(kind="tags", tags=("vip",))).verb == "ignored"
    assert await desk.new(kind="tags", tags=("enrich",)) != job_id  # taken off and put on again


async def test_a_tag_that_the_last_event_had_starts_nothing(desk: Desk) -> None:
    await desk.new(tags=("enrich",))
    assert (await desk.submit(kind="tags", tags=("enrich",))).verb == "ignored"


async def test_a_trigger_tag_joins_a_job_that_waits(desk: Desk) -> None:
    job_id = await desk.new()
    joined = await desk.submit(kind="tags", tags=("enrich",))
    assert (joined.verb, joined.job_id) == ("duplicate", job_id)


async def test_an_opportunity_starts_work_and_joins_a_job_that_waits(desk: Desk) -> None:
    job_id = await desk.new(kind="opportunity", street="")
    joined = await desk.submit(kind="opportunity", street="")
    assert (joined.verb, joined.job_id) == ("duplicate", job_id)
    claim = await desk.one()
    second = await desk.new(kind="opportunity", street="")
    assert await desk.claim(5, running=1) == []
    await desk.complete(claim)
    assert (await desk.one()).job_id == second


# --- deletion ------------------------------------------------------------------------------------------------------


async def test_a_deleted_contacts_waiting_jobs_end(desk: Desk) -> None:
    first = await desk.new()
    claim = await desk.one()
    second = await desk.new(street=OTHER)
    third = await desk.new(street="1 Third St")
    gone = await desk.submit(kind="delete", street="")
    assert (gone.verb, gone.job_id, gone.why) == ("ignored", None, "contact deleted")
    for job_id in (second, third):
        job = await desk.job(job_id)
        assert (job.state, job.reason, job.outcome) == ("FAILED_FINAL", "contact_not_found", None)
        assert job.finished_at
        assert job.timeline[-1]["event"] == "failed"
    assert await desk.state(first) == "PROCESSING"
    await desk.complete(claim)
    assert await desk.claim(5) == []
    stats = await desk.views.stats()
    assert stats.totals["reason:contact_not_found"] == 2


async def test_a_contact_that_comes_back_after_its_deletion_still_waits_for_the_job_at_work(desk: Desk) -> None:
    await desk.new()
    claim = await desk.one()
    await desk.submit(kind="delete", street="")
    back = await desk.new()
    assert await desk.claim(5, running=1) == []
    await desk.complete(claim)
    assert (await desk.one()).job_id == back


async def test_deleting_a_suspect_or_a_scheduled_job_leaves_nothing_behind(desk: Desk) -> None:
    await desk.new("c1")
    await desk.retry(await desk.one())
    await desk.new("c2", lane=Lane.BULK)
    await desk.one()
    [lease] = await desk.queue.leases()
    await desk.queue.reclaim(lease.job_id, lease.beat)
    for contact in ("c1", "c2"):
        await desk.submit(contact, kind="delete", street="")
    assert await waiting(desk) == 0
    assert await desk.connection.execute("EXISTS", desk.keys.sched, desk.keys.suspects, desk.keys.wait_bulk) == 0
    assert await desk.connection.execute("EXISTS", desk.keys.seen("loc1", "c1")) == 0


async def test_burying_by_deletion_honours_retention(make_desk: MakeDesk) -> None:
    desk = make_desk(keep_failed=1)
    for contact in ("c1", "c2", "c3"):
        await desk.new(contact)
        await desk.submit(contact, kind="delete", street="")
    assert await desk.connection.execute("ZCARD", desk.keys.dead) == 1


async def test_a_batch_answers_each_lead_for_itself(desk: Desk) -> None:
    """Ten copies at once, among others: one effect, the same id in every answer."""
    receipts = await asyncio.gather(
        *(desk.submit(key="wh:1") for _ in range(10)), *(desk.submit(f"d{number}") for number in range(10))
    )
    assert len({receipt.job_id for receipt in receipts[:10]}) == 1
    assert [receipt.verb for receipt in receipts[:10]].count("queued") == 1
    assert len({receipt.job_id for receipt in receipts[10:]}) == 10
    assert await waiting(desk) == 11
