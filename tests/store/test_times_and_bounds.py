"""Settings are told in seconds and jobs, and hold so in Redis' milliseconds, whatever way a job ends."""

from __future__ import annotations

import pytest
from daemon_process import until
from queue_desk import Desk, MakeDesk
from queue_traces import counts, job_hash, leave, leave_by_death

from leadenrich.store.switches import Switches


@pytest.mark.parametrize(("ago_s", "verb"), [(99_990, "duplicate"), (100_010, "queued")])
async def test_the_duplicate_window_is_as_long_as_said(make_desk: MakeDesk, ago_s: int, verb: str) -> None:
    desk = make_desk(dedup_window=100_000.0)
    await desk.new()
    made = await desk.time_ms() - ago_s * 1000
    await desk.connection.execute("HSET", desk.keys.seen("loc1", "c1"), "made", made)
    assert (await desk.submit()).verb == verb


@pytest.mark.parametrize(("ago_s", "goes_back"), [(99_990, True), (100_010, False)])
async def test_the_throttle_deadline_is_as_long_as_said(make_desk: MakeDesk, ago_s: int, goes_back: bool) -> None:
    desk = make_desk(throttle_deadline=100_000.0)
    job_id = await desk.new()
    claim = await desk.one()
    first = await desk.time_ms() - ago_s * 1000
    await desk.connection.execute("HSET", desk.keys.job(job_id), "throttled", first)
    assert await desk.release(claim, "throttled", first) is goes_back


ENDS = ["complete", "bury", "cancel", "delete", "stall"]


async def ended_by(desk: Desk, end: str) -> str:
    """A job that had a step before it ended so; its id."""
    job_id = await desk.new()
    claim = await desk.one()
    await desk.queue.checkpoint(claim, "lookup", result=b"r")
    await desk.release(claim)
    if end == "cancel":
        await desk.queue.cancel(job_id, by="ann")
    elif end == "delete":
        await desk.submit(kind="delete")
    elif end == "stall":
        for _ in range(3):
            await leave_by_death(desk)
    else:
        await leave(desk, await desk.one(), end)
    assert await desk.state(job_id) in ("SUCCEEDED", "FAILED_FINAL")
    return job_id


@pytest.mark.parametrize("end", ENDS)
async def test_the_lead_is_kept_as_long_as_said_after_its_job_ended(make_desk: MakeDesk, end: str) -> None:
    desk = make_desk(payload_retention=100.0, max_stalled=0)
    job_id = await ended_by(desk, end)
    for key in (desk.keys.load(job_id), desk.keys.steps(job_id)):
        assert 90_000 < await desk.connection.execute("PTTL", key) <= 100_000


@pytest.mark.parametrize("end", ENDS)
async def test_with_no_retention_the_lead_goes_with_the_end_of_its_job(make_desk: MakeDesk, end: str) -> None:
    desk = make_desk(payload_retention=0.0, max_stalled=0)
    job_id = await ended_by(desk, end)
    kept = desk.keys.load(job_id), desk.keys.steps(job_id)

    async def is_gone() -> bool:
        return bool(await desk.connection.execute("EXISTS", *kept) == 0)

    await until(is_gone, "both are gone, within a millisecond or two", within_s=1.0)
    assert (await desk.job(job_id)).lead is None


async def test_what_runs_again_is_kept_and_its_retention_begins_anew_with_its_end(make_desk: MakeDesk) -> None:
    desk = make_desk(payload_retention=100.0)
    job_id = await ended_by(desk, "bury")
    await desk.queue.revive(job_id, by="ann")
    kept = desk.keys.load(job_id), desk.keys.steps(job_id)
    assert [await desk.connection.execute("PTTL", key) for key in kept] == [-1, -1]
    await desk.complete(await desk.one())
    assert all([90_000 < await desk.connection.execute("PTTL", key) <= 100_000 for key in kept])


@pytest.mark.parametrize("end", ["bury", "cancel", "delete", "stall"])
async def test_no_more_failed_jobs_are_kept_than_said_however_they_ended(make_desk: MakeDesk, end: str) -> None:
    desk = make_desk(keep_failed=1, max_stalled=0)
    first = await desk.new("c1")
    await desk.bury(await desk.one())
    second = await desk.new("c2")
    if end == "cancel":
        await desk.queue.cancel(second, by="ann")
    elif end == "delete":
        await desk.submit("c2", kind="delete")
    elif end == "stall":
        for _ in range(3):
            await leave_by_death(desk)
    else:
        await leave(desk, await desk.one(), end)
    assert await desk.views.job(first) is None
    assert await desk.state(second) == "FAILED_FINAL"
    counted = await counts(desk)
    assert {name: number for name, number in counted.items() if name.startswith("live:")} == {"live:FAILED_FINAL": 1}


async def test_the_lease_of_the_suspects_place_is_as_long_as_said(make_desk: MakeDesk) -> None:
    desk = make_desk(lease=7.0)
    await desk.new()
    await leave_by_death(desk)
    before = await desk.time_ms()
    assert (await desk.grant(running=1)).hold == "drain"
    until = int(await desk.connection.execute("HGET", desk.keys.meta, "suspect_until"))
    assert before + 7_000 <= until <= await desk.time_ms() + 7_000


async def test_a_delay_of_seconds_is_waited_out(desk: Desk) -> None:
    job_id = await desk.new()
    before = await desk.time_ms()
    await desk.retry(await desk.one(), delay_s=45.0)
    due = int((await job_hash(desk, job_id))["next"])
    assert before + 45_000 <= due <= await desk.time_ms() + 45_000
    assert float(await desk.connection.execute("ZSCORE", desk.keys.sched, job_id)) == due
    earliest = await desk.time_ms()
    grant = await desk.grant()
    assert grant.next_s is not None
    assert due - await desk.time_ms() <= round(grant.next_s * 1000) <= due - earliest


async def test_a_restarted_worker_hears_what_became_of_each_lease(make_desk: MakeDesk) -> None:
    """Of its own name, an earlier boot: the second death alone at one place ends the job where none is allowed."""
    words = []
    desk = make_desk(max_stalled=0)
    job_id = await desk.new()
    for _ in range(3):
        assert len(await desk.claim()) == 1
        desk = make_desk(max_stalled=0)
        words.append(await desk.queue.takeover())
    assert words == [{job_id: "reclaimed"}, {job_id: "reclaimed"}, {job_id: "condemned"}]
    assert await desk.queue.takeover() == {}


async def test_a_pause_that_changes_nothing_is_no_news(desk: Desk) -> None:
    switches = Switches(desk.connection, desk.keys)
    until_ms = await desk.time_ms() + 60_000
    assert await switches.pause_provider("ghl:loc1", "throttle", "429", until_ms=until_ms)
    assert not await switches.pause_provider("ghl:loc1", "throttle", "429", until_ms=until_ms - 1)
    assert not await switches.pause_provider("ghl:loc1", "throttle", "429", until_ms=until_ms + 1)
    assert await switches.pause_provider("ghl:loc1", "operator", "by hand")
    assert not await switches.pause_provider("ghl:loc1", "throttle", "429", until_ms=until_ms)
    assert await switches.resume_provider("ghl:loc1", why="by hand")
    assert not await switches.resume_provider("ghl:loc1", why="by hand")
