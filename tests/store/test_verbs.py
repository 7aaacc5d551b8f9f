"""What each verb leaves behind, to the last field: the job, its row, the counts, the events and the marker."""

from __future__ import annotations

import json
import time
from collections import Counter

import pytest
from leads import lead
from queue_desk import Desk, MakeDesk
from queue_traces import counts, events, is_woken, job_hash, leave

from leadenrich.core.job import Lane, Outcome
from leadenrich.core.retry import Failure, Release
from leadenrich.core.times import iso
from leadenrich.store.job_id import new_job_id
from leadenrich.store.queue import Grant, Lease, Receipt, Submission
from leadenrich.store.switches import Switches

HOUR_MS = 3_600_000
WAYS_OUT = ["complete", "retry", "bury", "release", "reclaim"]


@pytest.mark.parametrize(
    ("way", "told", "attempt"),
    [
        ("complete", "completed", "1"), ("retry", "retrying", "1"), ("bury", "failed", "1"), ("release", "queued", "0"),
        ("reclaim", "stalled", "0"),
    ],
)  # fmt: skip
async def test_every_event_names_whose_it_is(desk: Desk, way: str, told: str, attempt: str) -> None:
    job_id = await desk.new("c7", lane=Lane.BULK)
    await leave(desk, await desk.one(), way)
    heard = await events(desk)
    assert [event.event for event in heard] == ["queued", "started", told]
    assert [str(event.attempt) for event in heard] == ["0", "1", attempt]
    for event in heard:
        whose = (event.job, event.contact, event.location, event.lane)
        assert whose == (job_id, "c7", "loc1", "bulk")
    _, *timeline = (await desk.job(job_id)).timeline
    assert [(entry["event"], entry["attempt"]) for entry in timeline] == [("started", 1), (told, int(attempt))]
    assert timeline[0]["by"] == desk.queue.owner
    now = await desk.time_ms()
    assert all(iso(now - 60_000) < entry["time"] <= iso(now) for entry in timeline)
    assert heard[1].detail == json.dumps({"by": desk.queue.owner}, separators=(",", ":"))


@pytest.mark.parametrize(
    ("way", "state", "more"),
    [
        ("complete", "SUCCEEDED", {"outcome:QUALIFIED": 1}),
        ("retry", "RETRY_SCHEDULED", {}),
        ("bury", "FAILED_FINAL", {"reason:internal_error": 1}),
        ("release", "QUEUED", {}),
        ("reclaim", "QUEUED", {}),
    ],
)
async def test_a_job_is_counted_where_it_is_and_nowhere_else(
    desk: Desk, way: str, state: str, more: dict[str, int]
) -> None:
    job_id = await desk.new()
    assert await counts(desk) == {"live:QUEUED": 1}
    claim = await desk.one()
    assert await counts(desk) == {"live:PROCESSING": 1}
    await leave(desk, claim, way)
    assert await counts(desk) == {f"live:{state}": 1, **more}
    assert await desk.state(job_id) == state
    assert await desk.queue.leases() == []


@pytest.mark.parametrize("way", WAYS_OUT)
async def test_no_mark_of_a_run_outlives_it(desk: Desk, way: str) -> None:
    """A job that ran alone, after an error and a wait, is a plain one again; its suspicion stays till it ends."""
    job_id = await desk.new()
    await leave(desk, await desk.one(), "reclaim")
    claim = await desk.one()
    assert claim.alone
    now = await desk.time_ms()
    await desk.release(claim, "provider_paused", now + HOUR_MS, "ghl:loc1")
    held = await job_hash(desk, job_id)
    assert (held["held"], held["next"], held["error"]) == ("ghl:loc1", str(now + HOUR_MS), "later")
    await desk.make_due(job_id)
    await leave(desk, await desk.one(), way)
    left = set(await job_hash(desk, job_id))
    assert not left & {"alone", "held"}
    assert ("next" in left) == (way == "retry")
    assert ("suspect" in left) == (way in ("release", "reclaim"))
    assert ("error" in left) == (way != "complete")
    assert ("token" in left) == (way != "reclaim")


async def test_a_finished_job_tells_its_end(desk: Desk) -> None:
    job_id = await desk.new()
    before = await desk.time_ms()
    claim = await desk.one()
    await desk.complete(claim, Outcome.REVIEW, "A", "B")
    job = await job_hash(desk, job_id)
    assert (job["state"], job["outcome"], job["codes"], job["tries"]) == ("SUCCEEDED", "REVIEW", "A,B", "1")
    assert before <= int(job["begun"]) <= int(job["finished"]) <= await desk.time_ms()
    assert float(await desk.connection.execute("ZSCORE", desk.keys.done, job_id)) == int(job["finished"])


async def test_a_buried_job_is_among_the_dead_by_its_time(desk: Desk) -> None:
    job_id = await desk.new()
    await desk.bury(await desk.one())
    job = await job_hash(desk, job_id)
    assert (job["reason"], job["outcome"], job["codes"], job["error"]) == ("internal_error", "", "", "no")
    assert float(await desk.connection.execute("ZSCORE", desk.keys.dead, job_id)) == int(job["finished"])


@pytest.mark.parametrize("way", ["retry", "release", "reclaim"])
async def test_what_goes_back_to_wait_wakes_a_sleeper(desk: Desk, way: str) -> None:
    await desk.new()
    claim = await desk.one()
    assert await is_woken(desk, leave(desk, claim, way))


async def test_what_comes_in_or_comes_back_wakes_a_sleeper(desk: Desk) -> None:
    assert await is_woken(desk, desk.submit())
    claim = await desk.one()
    await desk.bury(claim)
    assert await is_woken(desk, desk.queue.revive(claim.job_id, by="ann"))
    assert await is_woken(desk, desk.queue.poke())
    await desk.queue.cancel(claim.job_id, by="ann")
    assert not await is_woken(desk, desk.submit("c1", kind="delete"))


async def test_who_takes_the_last_job_takes_the_marker_and_who_leaves_some_leaves_it(desk: Desk) -> None:
    for number in range(3):
        await desk.new(f"c{number}")
    assert await is_woken(desk, desk.claim(1))
    assert not await is_woken(desk, desk.claim(5))
    assert not await is_woken(desk, desk.claim(5))


@pytest.mark.parametrize("way", ["complete", "bury"])
async def test_the_contacts_next_job_goes_without_its_bonds(desk: Desk, way: str) -> None:
    first = await desk.new(event_ms=1)
    claim = await desk.one()
    second = await desk.new(street="1 Elm St", kind="update", event_ms=2)
    row = (await job_hash(desk, first)).get("behind"), (await job_hash(desk, second)).get("after")
    assert row == (second, first)
    assert await is_woken(desk, leave(desk, claim, way))
    assert "behind" not in await job_hash(desk, first)
    assert not {"after", "next"} & set(await job_hash(desk, second))
    assert await desk.connection.execute("ZCARD", desk.keys.sched) == 0
    assert [job.job_id for job in await desk.claim(5)] == [second]


async def test_a_lead_behind_another_is_looked_at_again_after_a_minute(desk: Desk) -> None:
    """Even if nobody lets it go."""
    await desk.new(event_ms=1)
    await desk.one()
    before = await desk.time_ms()
    behind = await desk.new(street="1 Elm St", kind="update", event_ms=2)
    due = float(await desk.connection.execute("ZSCORE", desk.keys.sched, behind))
    assert before + 60_000 <= due <= await desk.time_ms() + 60_000
    await desk.make_due(behind)
    before = await desk.time_ms()
    assert await desk.claim() == []
    due = float(await desk.connection.execute("ZSCORE", desk.keys.sched, behind))
    assert before + 60_000 <= due <= await desk.time_ms() + 60_000


async def test_a_revived_job_is_as_new_but_for_its_steps_and_its_age(desk: Desk) -> None:
    job_id = await desk.new()
    created = (await job_hash(desk, job_id))["created"]
    claim = await desk.one()
    await desk.queue.checkpoint(claim, "normalize", result=b"x")
    await desk.release(claim, "throttled", 1)
    await desk.bury(await desk.one())
    await desk.queue.revive(job_id, by="ann")
    job = await job_hash(desk, job_id)
    assert set(job) == {
        "state", "lane", "contact", "location", "max", "created", "tries", "gen", "started", "steps", "op",
    }  # fmt: skip
    assert (job["state"], job["tries"], job["created"], job["gen"]) == ("QUEUED", "0", created, "2")
    assert await counts(desk) == {"live:QUEUED": 1, "reason:internal_error": 1}
    assert await desk.connection.execute("ZCARD", desk.keys.dead) == 0
    assert await desk.connection.execute("PTTL", desk.keys.load(job_id)) == -1
    assert await desk.connection.execute("PTTL", desk.keys.steps(job_id)) == -1
    last = (await events(desk))[-1]
    told = (last.event, last.job, last.contact, last.location, last.lane, str(last.attempt))
    assert told == ("queued", job_id, "c1", "loc1", "live", "0")
    assert last.detail == '{"why":"retried by ann"}'


async def test_a_cancelled_job_is_announced_and_counted(desk: Desk) -> None:
    job_id = await desk.new(lane=Lane.BULK)
    await desk.queue.cancel(job_id, by="ann")
    assert await counts(desk) == {"bulk:FAILED_FINAL": 1, "reason:cancelled": 1}
    last = (await events(desk))[-1]
    told = (last.event, last.job, last.contact, last.location, last.lane, str(last.attempt))
    assert told == ("failed", job_id, "c1", "loc1", "bulk", "0")
    job = await job_hash(desk, job_id)
    assert (job["reason"], job["error"]) == ("cancelled", "cancelled by ann")


async def test_what_retention_removes_is_told_and_no_longer_counted(make_desk: MakeDesk) -> None:
    desk = make_desk(keep_failed=1)
    gone = await desk.new("c1")
    await desk.bury(await desk.one())
    await desk.new("c2")
    await desk.bury(await desk.one())
    assert await counts(desk) == {"live:FAILED_FINAL": 1, "reason:internal_error": 2}
    [removed] = [event for event in await events(desk) if event.event == "removed"]
    whose = (removed.job, removed.contact, removed.location, removed.lane, str(removed.attempt))
    assert whose == (gone, "c1", "loc1", "live", "0")


async def test_a_contact_is_remembered_by_its_last_job_for_half_a_year(desk: Desk) -> None:
    before = await desk.time_ms()
    job_id = await desk.new(event_ms=5)
    seen = desk.keys.seen("loc1", "c1")
    job, at, made, tags = await desk.connection.execute("HMGET", seen, "job", "at", "made", "tags")
    assert (job.decode(), at, tags) == (job_id, b"5", None)
    assert before <= int(made) <= await desk.time_ms()
    half_a_year_ms = 180 * 24 * HOUR_MS
    assert half_a_year_ms - 60_000 < await desk.connection.execute("PTTL", seen) <= half_a_year_ms


async def test_a_replaced_address_counts_from_its_replacement(desk: Desk) -> None:
    await desk.new()
    seen = desk.keys.seen("loc1", "c1")
    await desk.connection.execute("HSET", seen, "made", 1)
    before = await desk.time_ms()
    assert (await desk.submit(street="1 Elm St", kind="update")).verb == "duplicate"
    assert int(await desk.connection.execute("HGET", seen, "made")) >= before


async def test_a_beat_moves_each_lease_by_one_and_says_who_lives(desk: Desk) -> None:
    for number in range(2):
        await desk.new(f"c{number}")
    claims = await desk.claim(2)
    assert [lease.beat for lease in await desk.queue.leases()] == [1_000_000.0, 1_000_000.0]
    before = await desk.time_ms()
    assert await desk.queue.extend(claims, "about it") == set()
    assert [lease.beat for lease in await desk.queue.leases()] == [1_000_001.0, 1_000_001.0]
    beat = await desk.queue.last_beat()
    assert beat is not None
    assert before <= beat[0] <= await desk.time_ms()
    assert beat[1] == "about it"


async def test_a_job_can_be_looked_at_without_being_taken(desk: Desk) -> None:
    job_id = await desk.new("c7", lane=Lane.BULK, first_name="Ann")
    before = await desk.dump()
    seen = await desk.queue.peek(job_id)
    assert seen is not None
    assert (seen.job_id, seen.token, seen.lane, seen.location_id, seen.contact_id) == (job_id, "", "bulk", "loc1", "c7")
    assert (await desk.queue.peek(job_id)) == seen
    assert (seen.attempt, seen.max_attempts, seen.stalled_count, seen.alone, seen.probe) == (0, 3, 0, False, False)
    assert (seen.lead.contact_id, seen.lead.kind, seen.steps, seen.rerun) == ("c7", "create", {}, True)
    assert seen.lead.first_name == "Ann"
    assert seen.created_ms == int((await job_hash(desk, job_id))["created"])
    assert await desk.dump() == before
    await desk.connection.execute("HSET", desk.keys.job(job_id), "tries", 2, "stalls", 1)
    later = await desk.queue.peek(job_id)
    assert later is not None
    assert (later.attempt, later.stalled_count) == (2, 1)
    assert await desk.queue.peek("nobody") is None


@pytest.mark.parametrize(
    ("cached", "credits", "paid", "unknown", "spent"),
    [(False, 2, True, 0, 2), (True, 0, True, 1, 0), (True, 0, False, 0, 0)],
)
async def test_a_result_after_an_open_intent(
    desk: Desk, cached: bool, credits: int, paid: bool, unknown: int, spent: int
) -> None:
    """Found in the cache, it was bought by whoever the intent was of, perhaps by this very job: unknown."""
    await desk.new()
    claim = await desk.one()
    intent = await desk.queue.checkpoint(claim, "lookup", paid=paid)
    assert (intent.ended_ms, intent.result, intent.unknown) == (None, None, 0)
    step = await desk.queue.checkpoint(claim, "lookup", result=b"r", cached=cached, credits=credits, paid=paid)
    assert (step.cached, step.credits, step.unknown) == (cached, credits, unknown)
    assert step.started_ms == intent.started_ms
    told = Counter(await counts(desk))
    assert (told["unknown_purchases"], told["credits"]) == (unknown, spent)
    again = await desk.queue.checkpoint(claim, "lookup", result=b"r", cached=cached, credits=credits, paid=paid)
    assert again.unknown == unknown
    assert Counter(await counts(desk))["credits"] == spent


async def test_a_pause_says_since_when_until_when_and_why(desk: Desk) -> None:
    switches = Switches(desk.connection, desk.keys)
    before = await desk.time_ms()
    await switches.pause_provider("ghl:loc1", "auth", "401")
    value = (await desk.connection.execute("HGET", desk.keys.meta, "provider:ghl:loc1")).decode()
    kind, until, _, since, _, reason = value.split("|")
    assert (kind, until, reason) == ("auth", "0", "401")
    assert before <= int(since) <= await desk.time_ms()
    last = (await events(desk))[-1]
    assert (last.event, last.job, last.attempt) == ("provider_paused", "", 0)


@pytest.mark.parametrize("kind", [Submission, Receipt, Grant, Lease], ids=lambda kind: kind.__name__)
def test_what_goes_in_and_comes_out_cannot_be_changed(kind: type) -> None:
    assert vars(kind)["__dataclass_params__"].frozen
    assert "__slots__" in vars(kind)


def test_what_is_not_said_is_plain() -> None:
    receipt, submission = Receipt("queued", "j"), Submission(lead())
    assert (receipt.why, receipt.spooled) == ("", False)
    assert (submission.lane, submission.delivery_key, submission.job_id) == (Lane.LIVE, "", "")


async def test_a_job_that_waits_for_no_provider_is_held_by_none(desk: Desk) -> None:
    """Else resuming one of that name would let it go before its time."""
    job_id = await desk.new()
    ending = Release("throttled", await desk.time_ms() + HOUR_MS, Failure("429"))
    assert await desk.queue.release(await desk.one(), ending)
    job = await job_hash(desk, job_id)
    assert "next" in job
    assert "held" not in job


async def test_leads_that_travel_together_are_counted_and_answered_in_their_order(desk: Desk) -> None:
    heard: list[int] = []
    desk.queue.on_batch = heard.append
    batch = [Submission(lead(f"c{number % 2}")) for number in range(3)]
    first, second, third = await desk.queue.submit_all(batch)
    assert [first.verb, second.verb, third.verb] == ["queued", "queued", "duplicate"]
    assert third.job_id == first.job_id
    assert heard == [3]


async def test_a_job_is_named_by_the_time_it_came(desk: Desk) -> None:
    before = time.time_ns() // 1_000_000
    job_id = await desk.new()
    assert new_job_id(before)[:9] <= job_id[:9] <= new_job_id(time.time_ns() // 1_000_000)[:9]


async def test_a_job_handed_back_tells_why_and_until_when(desk: Desk) -> None:
    await desk.new()
    until_ms = await desk.time_ms() + HOUR_MS
    await desk.release(await desk.one(), "throttled", until_ms)
    last = (await events(desk))[-1]
    assert (last.event, json.loads(last.detail)) == (
        "throttled",
        {"why": "throttled", "error": "later", "until": iso(until_ms)},
    )


async def test_a_job_taken_over_says_whose_intent_is_open(desk: Desk) -> None:
    await desk.new()
    claim = await desk.one()
    await desk.queue.checkpoint(claim, "lookup")
    [lease] = await desk.queue.leases()
    assert await desk.queue.reclaim(claim.job_id, lease.beat) == "reclaimed"
    step = (await desk.one()).steps["lookup"]
    assert (step.by, step.ended_ms, step.result) == (claim.token, None, None)
