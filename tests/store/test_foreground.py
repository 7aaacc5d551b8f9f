"""A lead that is taken up at once: one job a contact at a time, fenced and leased like all others."""

from __future__ import annotations

import pytest
from queue_desk import Desk, MakeDesk

from leadenrich.config import QueueSettings
from leadenrich.core.errors import LostLease
from leadenrich.core.job import Claim
from leadenrich.core.lead import Lead
from leadenrich.store.foreground import PREFIX, Foreground, UnderWay
from leadenrich.store.schema import SEEN_MS

BARE = Lead(location_id="loc1", contact_id="c1", kind="api")


async def begin(desk: Desk) -> Claim:
    foreground = Foreground(desk.connection, desk.queue, QueueSettings())
    return await foreground.begin(BARE, now_ms=await desk.time_ms())


async def test_it_is_worked_on_from_its_first_moment_past_what_waits(desk: Desk) -> None:
    other = await desk.new("c2")
    claim = await begin(desk)
    job = await desk.job(claim.job_id)
    assert (job.state, job.lane, job.attempts_made, job.max_attempts) == ("PROCESSING", "live", 1, 3)
    assert [(entry["event"], entry.get("by")) for entry in job.timeline] == [
        ("queued", None),
        ("started", desk.queue.owner),
    ]
    assert job.lead == claim.lead == BARE
    assert (claim.created_ms > 0, claim.rerun, claim.alone) == (True, False, False)
    assert (await desk.views.stats()).lanes["live"] == {
        "QUEUED": 1, "PROCESSING": 1, "RETRY_SCHEDULED": 0, "SUCCEEDED": 0, "FAILED_FINAL": 0
    }  # fmt: skip
    assert [it.job_id for it in await desk.claim(5)] == [other]
    assert [lease.beat for lease in await desk.queue.leases() if lease.job_id == claim.job_id] == [1_000_000]
    await desk.complete(claim)
    assert await desk.state(claim.job_id) == "SUCCEEDED"
    assert 0 < await desk.connection.execute("PTTL", desk.keys.seen("loc1", "c1")) <= SEEN_MS


@pytest.mark.parametrize("state", ["QUEUED", "PROCESSING", "RETRY_SCHEDULED"])
async def test_a_contact_whose_job_is_under_way_is_left_to_it(state: str, desk: Desk) -> None:
    first = await desk.new("c1")
    if state != "QUEUED":
        claim = await desk.one()
        if state == "RETRY_SCHEDULED":
            await desk.retry(claim)
    before = await desk.dump()
    with pytest.raises(UnderWay) as busy:
        await begin(desk)
    assert (busy.value.job_id, busy.value.state) == (first, state)
    assert await desk.dump() == before


async def test_the_last_of_the_contact_s_row_counts(desk: Desk) -> None:
    await desk.new("c1")
    claim = await desk.one()
    behind = await desk.new("c1", "5 Other St")
    await desk.complete(claim)
    with pytest.raises(UnderWay) as busy:
        await begin(desk)
    assert busy.value.job_id == behind


async def test_who_comes_meanwhile_waits_behind_it(desk: Desk) -> None:
    await desk.new("c1")
    await desk.complete(await desk.one())
    claim = await begin(desk)
    behind = await desk.new("c1", "5 Other St")
    assert await desk.claim(5) == []
    await desk.complete(claim)
    assert [it.job_id for it in await desk.claim(5)] == [behind]


async def test_sent_twice_it_is_one_job(desk: Desk) -> None:
    """A lost answer is asked for again."""
    foreground = Foreground(desk.connection, desk.queue, QueueSettings())
    real, answers = foreground._begin, []

    async def twice(keys: list[str], args: list[object]) -> list[bytes]:
        answers.extend([await real(keys, args), await real(keys, args)])
        return answers[-1]

    foreground._begin = twice  # type: ignore[assignment]  # a script that is sent again
    await foreground.begin(BARE, now_ms=1)
    assert answers[0] == answers[1]
    assert (await desk.views.stats()).lanes["live"]["PROCESSING"] == 1


async def test_should_its_process_die_a_daemon_takes_it_over(desk: Desk, make_desk: MakeDesk) -> None:
    claim, other = await begin(desk), make_desk("w2")
    [lease] = await other.queue.leases()
    assert await other.queue.reclaim(claim.job_id, lease.beat) == "reclaimed"
    again = await other.one()
    assert (again.job_id, again.attempt, again.alone, again.rerun) == (claim.job_id, 1, True, True)
    with pytest.raises(LostLease):
        await desk.complete(claim)


async def test_its_beat_does_not_stay_nor_that_of_one_that_was_killed(make_desk: MakeDesk) -> None:
    desk, daemon = make_desk(f"{PREFIX}ada@host:1"), make_desk("w2")
    claim = await begin(desk)
    assert await desk.queue.extend([claim], "host") == set()
    await daemon.queue.extend([], "host")
    for name, beat_ms in ((f"{PREFIX}killed", 1), (f"{PREFIX}works", await desk.time_ms())):
        await desk.connection.execute("HSET", desk.keys.workers, f"beat:{name}", f"{beat_ms}|host")
    await Foreground(desk.connection, desk.queue, QueueSettings()).leave()
    left = await desk.connection.execute("HKEYS", desk.keys.workers)
    assert sorted(left) == [b"beat:enrich:works", b"beat:w2"]


async def test_a_lead_of_an_event_is_no_duplicate_of_it(desk: Desk) -> None:
    """Nobody told its address: what comes next with one is news."""
    await desk.complete(await begin(desk))
    assert (await desk.submit("c1", "9 New St")).verb == "queued"
