"""What people see: the job's shape, lists that can be walked through, counts that are true."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from leads import lead
from queue_desk import Desk

from leadenrich.core.job import JobState, Lane, Outcome, Reason
from leadenrich.core.retry import Bury, Failure, Release, RetryLater
from leadenrich.core.written import pack_fields, pack_tags
from leadenrich.store.job_list import Failures
from leadenrich.store.job_view import WrittenView
from leadenrich.store.queue import Submission
from leadenrich.store.schema import credits_key
from leadenrich.store.scripts import Script
from leadenrich.store.search import Search
from leadenrich.store.switches import Switches
from leadenrich.store.views import BadCursor, JobQuery, Views

JOB = {
    "id", "state", "lane", "contact_id", "location_id", "lead", "attempts_made", "max_attempts", "stalled_count",
    "created_at", "started_at", "finished_at", "next_attempt_at", "outcome", "reason", "error", "disqualified_by",
    "steps", "timeline",
}  # fmt: skip
BEFORE, AFTER = datetime(2020, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)
ISO = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
CONTRACT = Path(__file__).parents[2] / ".." / "shared" / "design" / "contract.md"


async def walk(views: Views, query: JobQuery) -> list[str]:
    """All pages of a list."""
    ids: list[str] = []
    while True:
        page = await views.jobs(query)
        ids += [job.id for job in page.jobs]
        if page.next_cursor is None:
            return ids
        query = msgspec.structs.replace(query, cursor=page.next_cursor)


async def test_a_job_has_exactly_the_members_that_were_promised(desk: Desk) -> None:
    job_id = await desk.new(tags=("a",))
    claim = await desk.one()
    await desk.queue.checkpoint(claim, "lookup", paid=True)
    await desk.queue.checkpoint(claim, "lookup", result=b"x", credits=1)
    await desk.queue.checkpoint(claim, "fields")
    shown = json.loads(msgspec.json.encode(await desk.job(job_id)))
    assert shown.keys() == JOB | {"attempts", "written"}
    assert [step.keys() for step in shown["steps"]] == [{"name", "started_at", "ended_at", "cached", "credits"}] * 2
    assert (shown["steps"][0]["credits"], shown["steps"][1]["ended_at"]) == (1, None)
    assert (shown["lane"], shown["attempts_made"], shown["max_attempts"], shown["stalled_count"]) == ("live", 1, 3, 0)
    assert shown["lead"]["address"]["line1"] == "742 Evergreen Ter"
    assert [entry["event"] for entry in shown["timeline"]] == ["queued", "started"]
    for time in (shown["created_at"], shown["started_at"], *(entry["time"] for entry in shown["timeline"])):
        assert re.fullmatch(ISO, time)
    for member in ("finished_at", "next_attempt_at", "outcome", "reason", "error"):
        assert shown[member] is None


def test_the_members_are_those_of_the_contract() -> None:
    if not CONTRACT.exists():
        pytest.skip("the design's folder is not here")
    line = next(line for line in CONTRACT.read_text().splitlines() if "GET /api/v1/jobs/{id}" in line)
    told = line.split("the job: ")[1].split(" (one entry")[0]
    assert {name.strip(" `") for name in told.split(",")} == JOB


async def test_every_run_of_a_job_is_told(desk: Desk) -> None:
    """When, by whom, how it ended, and whose answer it was that ended it; also the one that is under way."""
    job_id = await desk.new()
    bad_gateway = Failure("realestateapi: 502", "trace", "realestateapi", 502)
    await desk.queue.retry_later(await desk.one(), RetryLater(30.0, bad_gateway))
    await desk.make_due(job_id)
    too_many = Failure("ghl: 429", "trace", "ghl:loc1", 429)
    await desk.queue.release(await desk.one(), Release("throttled", await desk.time_ms() + 60_000, too_many))
    await desk.make_due(job_id)
    await desk.release(await desk.one())
    await desk.one()
    *ended, running = (await desk.job(job_id)).attempts
    assert [(run.number, run.result, run.error, run.provider, run.status) for run in ended] == [
        (1, "retrying", "realestateapi: 502", "realestateapi", 502),
        (2, "throttled", "ghl: 429", "ghl:loc1", 429),
        (2, "queued", "later", "", None),
    ]
    assert (running.number, running.result, running.ended_at, running.seconds) == (2, None, None, None)
    for run in ended:
        assert run.started_at <= (run.ended_at or "")
        assert (run.seconds or 0.0) >= 0.0
        assert run.by.startswith("w1/")


async def test_a_run_that_succeeded_has_its_end(desk: Desk) -> None:
    job_id = await desk.new()
    await desk.complete(await desk.one())
    [run] = (await desk.job(job_id)).attempts
    assert (run.number, run.result, run.error) == (1, "completed", "")
    assert run.ended_at == (await desk.job(job_id)).finished_at


async def test_an_unknown_purchase_is_shown_at_its_step(desk: Desk) -> None:
    job_id = await desk.new()
    for _ in range(2):
        claim = await desk.one()
        await desk.queue.checkpoint(claim, "lookup", paid=True)
        [lease] = await desk.queue.leases()
        await desk.queue.reclaim(job_id, lease.beat)
    [step] = json.loads(msgspec.json.encode(await desk.job(job_id)))["steps"]
    assert step["unknown"] == 1


async def test_a_job_that_never_was_is_none(desk: Desk) -> None:
    assert await desk.views.job("nobody") is None


async def test_a_long_list_is_walked_without_gaps_and_repetitions(desk: Desk) -> None:
    """270 jobs of all states, over the borders of chunks and of kinds."""
    ids = {await desk.new(f"c{number}", lane=Lane.BULK if number % 3 else Lane.LIVE) for number in range(270)}
    claims = await desk.claim(150)
    for number, claim in enumerate(claims):
        if number < 105:
            await desk.complete(claim)
        elif number < 115:
            await desk.bury(claim)
        elif number < 125:
            await desk.retry(claim)
        elif number < 130:
            await desk.release(claim, "throttled", await desk.time_ms() + 60_000)
    for limit in (7, 100, 200):
        walked = await walk(desk.views, JobQuery(limit=limit))
        assert len(walked) == 270
        assert set(walked) == ids
    expected = {"SUCCEEDED": 105, "FAILED_FINAL": 10, "RETRY_SCHEDULED": 10, "QUEUED": 125, "PROCESSING": 20}
    for state, count in expected.items():
        walked = await walk(desk.views, JobQuery(state=JobState(state), limit=33))
        assert len(walked) == len(set(walked)) == count, state
        assert {await desk.state(job_id) for job_id in walked[:5]} == {state}


async def test_a_list_is_newest_first(desk: Desk) -> None:
    ids = [await desk.new(f"c{number}") for number in range(5)]
    assert await walk(desk.views, JobQuery(state=JobState.QUEUED)) == ids[::-1]


async def test_lists_are_filtered(desk: Desk) -> None:
    one = await desk.new("c1", first_name="Zoë", phone="+15550100", email="zoe@example.com")
    two = await desk.new("c2", location_id="loc2", lane=Lane.BULK, street="9 Needle Way")
    three = await desk.new("c1", street="3 Third St")
    for query, expected in [
        (JobQuery(contact="c1"), {one, three}),
        (JobQuery(location="loc2"), {two}),
        (JobQuery(lane=Lane.BULK), {two}),
        (JobQuery(q="zoë"), {one}),
        (JobQuery(q="needle"), {two}),
        (JobQuery(q=three), {three}),
        (JobQuery(q="c2"), {two}),
        (JobQuery(contact="c1", lane=Lane.BULK), set()),
        (JobQuery(q="no such thing"), set()),
        (JobQuery(since=BEFORE), {one, two, three}),
        (JobQuery(until=BEFORE), set()),
        (JobQuery(since=AFTER), set()),
        (JobQuery(since=BEFORE, until=AFTER, contact="c2"), {two}),
    ]:
        assert set(await walk(desk.views, query)) == expected, query


@pytest.mark.parametrize("typed", ["(217) 555-0113", "+1 217 555 0113", "phone: 217.555.0113", "5550113"])
@pytest.mark.parametrize("kept", ["+12175550113", "(217) 555-0113"])
async def test_a_phone_is_found_in_every_form(desk: Desk, kept: str, typed: str) -> None:
    """By the filter of lists as by the search."""
    found = await desk.new("c1", phone=kept)
    await desk.new("c2", phone="+12175550114", street="1 Other Way")
    assert await walk(desk.views, JobQuery(q=typed)) == [found]
    assert [job.id for job in (await Search(desk.connection, desk.keys).find(typed)).jobs] == [found]


@pytest.mark.parametrize(
    "typed",
    ["Zoë O’Hara", "zoe o'hara", "742 Evergreen Ter, Springfield, IL 62704", "742 evergreen terrace springfield"],
)
async def test_what_a_view_prints_is_found_when_it_is_typed(desk: Desk, typed: str) -> None:
    """By the filter of lists as by the search: the name of two members, the address of five."""
    found = await desk.new("c1", first_name="Zoë", last_name="O’Hara")
    await desk.new("c2", "743 Evergreen Ave", first_name="Zoë", last_name="Hara")
    assert await walk(desk.views, JobQuery(q=typed)) == [found]
    assert [job.id for job in (await Search(desk.connection, desk.keys).find(typed)).jobs] == [found]


async def test_lists_are_filtered_by_how_leads_ended(desk: Desk) -> None:
    for number in range(4):
        await desk.new(f"c{number}")
    first, second, third, fourth = await desk.claim(4)
    await desk.complete(first, Outcome.QUALIFIED)
    await desk.complete(second, Outcome.DISQUALIFIED)
    await desk.bury(third, Reason.STALLED)
    await desk.bury(fourth, Reason.BAD_ADDRESS)
    assert await walk(desk.views, JobQuery(outcome=Outcome.DISQUALIFIED)) == [second.job_id]
    assert await walk(desk.views, JobQuery(reason=Reason.STALLED)) == [third.job_id]
    assert await walk(desk.views, JobQuery(reason=Reason.STALLED, outcome=Outcome.QUALIFIED)) == []


async def test_failures_that_nobody_expected_are_found_among_the_others(desk: Desk) -> None:
    """Behind what a person cancelled; and of a job that ran again and succeeded nothing is left."""
    waiting = [await desk.new(f"c{number}") for number in range(5)]
    unmatched, exhausted, retried, succeeded = await desk.claim(4)
    await desk.queue.bury(unmatched, Bury(Reason.PROPERTY_NOT_FOUND, Failure("none", "trace"), Outcome.NO_MATCH))
    await desk.bury(exhausted, Reason.ATTEMPTS_EXHAUSTED)
    await desk.bury(retried)
    await desk.queue.revive(retried.job_id, by="Ada")
    await desk.complete(succeeded)
    await desk.queue.cancel(waiting[4], by="Ada")
    failed = JobState.FAILED_FINAL
    for query, expected in [
        (JobQuery(failure=Failures.UNEXPECTED), {exhausted.job_id}),
        (JobQuery(state=failed, failure=Failures.UNEXPECTED), {exhausted.job_id}),
        (JobQuery(state=failed, failure=Failures.NOT_CANCELLED), {exhausted.job_id, unmatched.job_id}),
        (JobQuery(failure=Failures.NOT_CANCELLED, outcome=Outcome.NO_MATCH), {unmatched.job_id}),
        (JobQuery(state=JobState.SUCCEEDED, failure=Failures.NOT_CANCELLED), set()),
    ]:
        assert set(await walk(desk.views, query)) == expected, query


async def test_redis_itself_passes_over_what_a_filter_leaves_out(desk: Desk) -> None:
    """Every condition counts: else jobs by the thousand would be read whole, to be left out afterwards."""
    cancelled, exhausted = [await desk.new(f"c{number}") for number in range(2)]
    await desk.queue.cancel(cancelled, by="Ada")
    await desk.bury(await desk.one(), Reason.ATTEMPTS_EXHAUSTED)
    jobs = [desk.keys.job(job_id) for job_id in (cancelled, exhausted, "unknown")]
    fitting = Script(desk.connection, "fitting")
    not_cancelled = ["reason", "not", "", "reason", "not", "cancelled"]
    assert await fitting(jobs, not_cancelled) == [2]
    assert await fitting(jobs, [*not_cancelled, "outcome", "is", ""]) == [2]
    assert await fitting(jobs, [*not_cancelled, "outcome", "not", ""]) == []


async def test_lists_are_filtered_by_when_jobs_ended(desk: Desk) -> None:
    first, second, third = [await desk.new(f"c{number}") for number in range(3)]
    await desk.bury(await desk.one())
    ended = datetime.fromisoformat((await desk.job(first)).finished_at or "")
    while await desk.time_ms() <= ended.timestamp() * 1000:
        pass  # the millisecond is over
    await desk.complete(await desk.one())
    for query, expected in [
        (JobQuery(ended_since=ended), {first, second}),
        (JobQuery(ended_since=ended + timedelta(milliseconds=1)), {second}),
        (JobQuery(ended_since=ended, state=JobState.FAILED_FINAL), {first}),
        (JobQuery(ended_since=ended, since=AFTER), set()),
        (JobQuery(ended_since=ended, state=JobState.QUEUED), set()),
    ]:
        assert set(await walk(desk.views, query)) == expected, query
    assert await desk.state(third) == JobState.QUEUED


@pytest.mark.parametrize("lane", [Lane.LIVE, Lane.BULK])
async def test_jobs_that_come_in_shift_no_reader(desk: Desk, lane: Lane) -> None:
    """Who reads on meets each of the jobs that were there at first, once, and none that came since."""
    ids = [await desk.new(f"c{number}", lane=lane) for number in range(30)]
    page = await desk.views.jobs(JobQuery(limit=7))
    walked = [job.id for job in page.jobs]
    while page.next_cursor:
        for number in range(9):
            await desk.new(f"later{len(walked)}-{number}", lane=lane)
        page = await desk.views.jobs(JobQuery(limit=7, cursor=page.next_cursor))
        walked += [job.id for job in page.jobs]
    assert walked == ids[::-1]


async def test_jobs_that_end_shift_no_reader(desk: Desk) -> None:
    """Many end in the same millisecond; the reader stands between two of them."""
    for number in range(250):
        await desk.new(f"c{number}")
    ended = await desk.claim(250)
    for claim in ended[:220]:
        await desk.complete(claim)
    query, walked = JobQuery(state=JobState.SUCCEEDED, limit=50), []
    for claim in [*ended[220:], None, None, None]:
        page = await desk.views.jobs(query)
        walked += [job.id for job in page.jobs]
        if page.next_cursor is None:
            break
        query = msgspec.structs.replace(query, cursor=page.next_cursor)
        if claim is not None:
            await desk.complete(claim)
    assert len(walked) == len(set(walked)) == 220
    assert set(walked) == {claim.job_id for claim in ended[:220]}


async def test_a_reader_whose_place_was_taken_goes_on_behind_it(desk: Desk) -> None:
    """Of a lane the oldest are taken first; an operator takes one out of the middle."""
    ids = [await desk.new(f"c{number}") for number in range(12)]
    page = await desk.views.jobs(JobQuery(state=JobState.QUEUED, limit=4))
    assert [job.id for job in page.jobs] == ids[:-5:-1]
    await desk.queue.cancel(ids[-4], by="test")  # the very one where the reader stands
    await desk.claim(2)  # ids[0] and ids[1]
    rest = await walk(desk.views, JobQuery(state=JobState.QUEUED, limit=4, cursor=page.next_cursor))
    missed = set(ids[2:8]) - set(rest)
    assert not missed
    assert set(rest) <= set(ids[2:])  # those of the same millisecond may be met again


async def test_what_is_found_rarely_still_ends_in_pages(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page looks at a bounded number of jobs; the cursor goes on from there."""
    monkeypatch.setattr("leadenrich.store.job_list.SIFTED", 40)
    monkeypatch.setattr("leadenrich.store.job_list.SIFTED_MAX", 100)
    wanted = await desk.new("wanted")
    for number in range(250):
        await desk.new(f"c{number}")
    first = await desk.views.jobs(JobQuery(contact="wanted"))
    assert (first.jobs, first.next_cursor is None) == ([], False)
    assert await walk(desk.views, JobQuery(contact="wanted")) == [wanted]


async def test_a_contacts_jobs_are_found_behind_many_others_in_few_calls(desk: Desk) -> None:
    wanted = {await desk.new("wanted", "1 First St")}
    for number in range(0, 600, 100):
        await desk.queue.submit_all([Submission(lead(f"c{at}")) for at in range(number, number + 100)])
    wanted.add(await desk.new("wanted", "2 Second St"))
    calls = 0

    def count(run: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def counted(*args: Any) -> Any:
            nonlocal calls
            calls += 1
            return await run(*args)

        return counted

    desk.connection.execute = count(desk.connection.execute)  # type: ignore[method-assign]
    desk.connection.flush = count(desk.connection.flush)  # type: ignore[method-assign]
    page = await desk.views.jobs(JobQuery(contact="wanted"))
    assert ({job.id for job in page.jobs}, page.next_cursor) == (wanted, None)
    assert calls < 24, "two jobs read, and 602 asked in three calls"


@pytest.mark.parametrize(
    "cursor", ["x", "1", "1.", ".5.", "-1.0.", "1.-2.", "١.٢.x", "0.99999999999999999.x", "1.2.3.4", "1.2", "0..x\n"]
)
async def test_a_cursor_that_is_not_ours_is_refused(desk: Desk, cursor: str) -> None:
    with pytest.raises(BadCursor):
        await desk.views.jobs(JobQuery(cursor=cursor))


async def test_a_cursor_beyond_the_end_is_an_empty_page(desk: Desk) -> None:
    await desk.new()
    for cursor in ("9..", "9.5.x", "3.7.x"):
        assert (await desk.views.jobs(JobQuery(cursor=cursor, state=JobState.QUEUED))).jobs == []


async def test_counts_are_true(desk: Desk) -> None:
    for number in range(12):
        await desk.new(f"c{number}", lane=Lane.BULK if number % 2 else Lane.LIVE)
    claims = await desk.claim(9)
    await desk.complete(claims[0], Outcome.QUALIFIED)
    await desk.complete(claims[1], Outcome.DISQUALIFIED)
    await desk.bury(claims[2], Reason.BAD_ADDRESS)
    await desk.retry(claims[3])
    await desk.release(claims[4])
    stats = await desk.views.stats()
    shown = {(lane, state): count for lane, states in stats.lanes.items() for state, count in states.items()}
    jobs = [await desk.job(job_id) for job_id in await walk(desk.views, JobQuery(limit=5))]
    for (lane, state), count in shown.items():
        assert count == sum(job.lane == lane and job.state == state for job in jobs), (lane, state)
    assert stats.lanes.keys() == {"live", "bulk"}
    assert stats.rates == {"finished_per_minute": 3.0}
    assert stats.totals == {
        "credits": 0, "unknown_purchases": 0, "outcome:DISQUALIFIED": 1, "outcome:QUALIFIED": 1,
        "reason:bad_address": 1,
    }  # fmt: skip


async def test_the_oldest_waiting_lead_is_known(desk: Desk) -> None:
    assert (await desk.views.stats()).oldest_waiting_seconds is None
    old = await desk.new("c1", lane=Lane.BULK)
    await desk.new("c2")
    await desk.connection.execute("HSET", desk.keys.job(old), "created", await desk.time_ms() - 90_000)
    oldest = (await desk.views.stats()).oldest_waiting_seconds
    assert oldest is not None
    assert 89 < oldest < 100


async def test_each_lane_tells_how_long_its_oldest_lead_waits(desk: Desk) -> None:
    assert await desk.views.oldest_waiting_s() == {}
    now = await desk.time_ms()
    for contact, lane, age_s in (("c1", Lane.BULK, 90), ("c2", Lane.LIVE, 60), ("c3", Lane.LIVE, 10)):
        job_id = await desk.new(contact, lane=lane)
        await desk.connection.execute("HSET", desk.keys.job(job_id), "created", now - age_s * 1000)
    found = await desk.views.oldest_waiting_s()
    assert found == {Lane.BULK: pytest.approx(90, abs=5), Lane.LIVE: pytest.approx(60, abs=5)}


async def test_how_the_last_leads_ended_is_told_newest_first(desk: Desk) -> None:
    assert await desk.views.last_ended(5) == []
    for number, reason in enumerate([None, Reason.BAD_ADDRESS, None, Reason.STALLED]):
        await desk.new(f"c{number}")
        [claim] = await desk.claim()
        if reason is None:
            await desk.complete(claim, Outcome.QUALIFIED)
        else:
            await desk.bury(claim, reason)
        for ended in (desk.keys.done, desk.keys.dead):  # Redis' clock may not have moved on since the one before
            await desk.connection.execute("ZADD", ended, "XX", number, claim.job_id)
    assert await desk.views.last_ended(9) == [Reason.STALLED, None, Reason.BAD_ADDRESS, None]
    assert await desk.views.last_ended(2) == [Reason.STALLED, None]


async def test_providers_are_shown_with_their_pause_rate_and_credits(desk: Desk) -> None:
    views = Views(desk.connection, desk.keys, rates={"realestateapi": 10.0, "ghl:loc1": 10.0})
    switches = Switches(desk.connection, desk.keys)
    until = await desk.time_ms() + 60_000
    await switches.pause_provider("realestateapi", "budget", "spent", until_ms=until)
    await switches.pause_provider("ghl:loc2", "auth", "401")
    await desk.connection.execute("SET", credits_key("realestateapi", datetime.now(UTC).date().isoformat()), 7)
    providers = (await views.stats()).providers
    assert providers.keys() == {"realestateapi", "ghl:loc1", "ghl:loc2"}
    rea = providers["realestateapi"]
    assert (rea.paused, rea.rate, rea.credits_today) == ("budget: spent", 10.0, 7)
    assert rea.until
    assert (providers["ghl:loc1"].paused, providers["ghl:loc2"].paused) == (None, "auth: 401")


WROTE = {f"field_{number}": f"{number * 7919**5:x}" for number in range(40)}


async def write(desk: Desk, claim: Any) -> None:
    for name, result in (("fields", pack_fields(WROTE)), ("tags", pack_tags(("qualified",), ("review",)))):
        await desk.queue.checkpoint(claim, name)
        await desk.queue.checkpoint(claim, name, result=result)
    await desk.queue.checkpoint(claim, "lookup", result=b"a record, which goes")


async def test_what_a_job_wrote_stays_as_long_as_the_job(desk: Desk) -> None:
    told = WrittenView(fields=dict(WROTE), tags_added=["qualified"], tags_removed=["review"])
    job_id = await desk.new()
    claim = await desk.one()
    await write(desk, claim)
    assert (await desk.job(job_id)).written == told
    await desk.complete(claim)
    job = await desk.job(job_id)
    assert job.written == told
    assert {step.name for step in job.steps} == {"fields", "tags", "lookup"}
    assert not [it for it in (await desk.views.jobs(JobQuery())).jobs if it.written]  # a list is brief
    steps = await desk.connection.execute("HGETALL", desk.keys.steps(job_id))
    assert b"lookup:result" not in steps
    assert len(b"".join(steps.values())) > 256
    assert max(map(len, steps.values())) == 64  # a longer one would make the hash several times as large


async def test_what_a_failed_job_wrote_is_told_too(desk: Desk) -> None:
    job_id = await desk.new()
    claim = await desk.one()
    await write(desk, claim)
    await desk.bury(claim)
    written = (await desk.job(job_id)).written
    assert written is not None
    assert written.fields == WROTE


async def test_a_job_that_wrote_nothing_says_so(desk: Desk) -> None:
    job_id = await desk.new()
    claim = await desk.one()
    await desk.queue.checkpoint(claim, "fields", result=pack_fields({}))
    await desk.complete(claim)
    assert (await desk.job(job_id)).written is None


async def test_a_job_whose_lead_is_gone_is_found_by_its_ids(desk: Desk) -> None:
    job_id = await desk.new("c9")
    await desk.connection.execute("DEL", desk.keys.load(job_id))
    for text, found in (("c9", [job_id]), (job_id, [job_id]), ("evergreen", [])):
        assert await walk(desk.views, JobQuery(q=text)) == found
