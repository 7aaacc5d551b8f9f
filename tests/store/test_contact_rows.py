"""What is remembered of a contact, and the row of its jobs: each event judged by what was told before it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import pytest
from queue_desk import Desk, MakeDesk

from leadenrich.config import QueueSettings
from leadenrich.core.job import Lane
from leadenrich.store.connection import Connection
from leadenrich.store.errors import StoreUnavailable
from leadenrich.store.queue import Queue
from leadenrich.store.scripts import Script

Lose = Callable[[Awaitable[object]], Awaitable[None]]
A, B, C = "1 First St", "2 Second St", "3 Third St"


async def row_of(desk: Desk, job_id: str) -> tuple[str | None, str | None]:
    """Who is ahead, who is behind."""
    ahead, behind = await desk.connection.execute("HMGET", desk.keys.job(job_id), "after", "behind")
    return ahead and ahead.decode(), behind and behind.decode()


async def is_stale(desk: Desk, job_id: str) -> bool:
    """Whether it works on the contact as read, not as told."""
    return bool(await desk.connection.execute("HEXISTS", desk.keys.job(job_id), "stale"))


async def test_a_cancelled_follower_leaves_no_bond_behind(desk: Desk) -> None:
    first = await desk.new(street=A)
    await desk.one()
    second = await desk.new(street=B)
    assert (await row_of(desk, first), await row_of(desk, second)) == ((None, second), (first, None))
    await desk.queue.cancel(second, by="ann")
    assert (await row_of(desk, first), await row_of(desk, second)) == ((None, None), (None, None))


async def test_a_cancelled_middle_binds_its_neighbours_to_each_other(desk: Desk) -> None:
    first = await desk.new(street=A)
    await desk.one()
    second = await desk.new(street=B)
    third = await desk.new(street=C)
    await desk.queue.cancel(second, by="ann")
    assert await row_of(desk, first) == (None, third)
    assert await row_of(desk, second) == (None, None)
    assert await row_of(desk, third) == (first, None)


async def test_a_cancelled_first_lets_its_follower_go_at_once(desk: Desk) -> None:
    first = await desk.new(street=A)
    second = await desk.new(street=B)
    assert await row_of(desk, second) == (first, None)
    await desk.queue.cancel(first, by="ann")
    assert (await row_of(desk, first), await row_of(desk, second)) == ((None, None), (None, None))
    assert [claim.job_id for claim in await desk.claim(5)] == [second]


@pytest.mark.parametrize(
    ("after_the_end_ms", "stale"), [(-60_000, True), (-1, True), (9_000, True), (11_000, False), (60_000, False)]
)
async def test_what_was_told_before_our_last_write_is_read_anew(desk: Desk, after_the_end_ms: int, stale: bool) -> None:
    """HighLevel's clock and ours need not agree to the second: ten seconds after the end still count as before it."""
    first = await desk.new(street=A, event_ms=1)
    await desk.complete(await desk.one())
    finished = int(await desk.connection.execute("HGET", desk.keys.job(first), "finished"))
    second = await desk.new(street=B, kind="update", event_ms=finished + after_the_end_ms, tags=())
    assert await is_stale(desk, second) == stale


async def test_a_first_lead_is_taken_as_told(desk: Desk) -> None:
    assert not await is_stale(desk, await desk.new(event_ms=7))


async def test_an_event_that_told_no_tags_may_carry_ours_and_is_read_anew(desk: Desk) -> None:
    await desk.new(street=A, event_ms=1)
    await desk.complete(await desk.one())
    an_hour_later = await desk.time_ms() + 3_600_000
    assert await is_stale(desk, await desk.new(street=B, kind="update", event_ms=an_hour_later, tags=None))


async def test_an_event_of_no_known_time_counts_as_told_now(desk: Desk) -> None:
    await desk.new(street=A)
    await desk.complete(await desk.one())
    assert await is_stale(desk, await desk.new(street=B, kind="update", event_ms=0, tags=()))


@pytest.mark.parametrize("street", ["", A])
async def test_an_ignored_update_still_tells_the_time(desk: Desk, street: str) -> None:
    """One that comes later and is older must not undo what it confirmed."""
    await desk.new(street=A, event_ms=1)
    assert (await desk.submit(street=street, kind="update", event_ms=9)).verb == "ignored"
    late = await desk.submit(street=B, kind="update", event_ms=5)
    assert (late.verb, late.why) == ("ignored", "older than what is known of this contact")
    assert (await desk.submit(street=B, kind="update", event_ms=9)).verb == "duplicate"


async def test_an_event_of_no_known_time_is_never_too_late(desk: Desk) -> None:
    await desk.new(street=A, event_ms=9)
    assert (await desk.submit(street=B, kind="update", event_ms=0)).verb == "duplicate"


async def test_an_update_without_an_address_forgets_none(desk: Desk) -> None:
    await desk.new(street=A, event_ms=1)
    assert (await desk.submit(street="", kind="update", event_ms=2)).why == "no address"
    assert (await desk.submit(street=A, kind="update", event_ms=3)).why == "address unchanged"


async def test_a_tag_event_tells_no_address(desk: Desk) -> None:
    """What it carries besides was not what changed: a later update with it is a change."""
    await desk.new(street=A, event_ms=1)
    await desk.complete(await desk.one())
    assert (await desk.submit(street=B, kind="tags", tags=("other",), event_ms=2)).why == "no new trigger tag"
    assert (await desk.submit(street=B, kind="update", event_ms=3)).verb == "queued"


async def test_a_tag_that_came_back_starts_work_again(desk: Desk) -> None:
    """Each event's tags are kept, those that started nothing too: only so is it seen that one was gone."""
    await desk.new(tags=("Enrich",))
    await desk.complete(await desk.one())
    assert (await desk.submit(kind="tags", tags=("enrich",))).verb == "ignored"
    assert (await desk.submit(kind="tags", tags=("other",))).verb == "ignored"
    assert (await desk.submit(kind="tags", tags=("ENRICH",))).verb == "queued"


async def test_a_duplicate_delivery_lives_as_long_as_the_first(desk: Desk) -> None:
    job_id = await desk.new(key="wh:1", window_s=100.0)
    assert (await desk.submit(key="wh:2", window_s=100.0)).job_id == job_id
    dedups = await desk.connection.execute("KEYS", "*dedup:*")
    assert len(dedups) == 2
    for key in dedups:
        assert 90_000 < await desk.connection.execute("PTTL", key) <= 100_000


async def test_a_lead_with_no_delivery_id_leaves_no_mark_of_one(desk: Desk) -> None:
    await desk.new()
    await desk.submit()
    assert await desk.connection.execute("KEYS", "*dedup:*") == []


@pytest.fixture
def twice(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, object]]:
    """Every script is sent twice, as after a lost answer; both answers are kept."""
    answers: list[tuple[object, object]] = []
    once = Script.__call__

    async def call(script: Script, keys: Sequence[str], args: Sequence[object]) -> object:
        answers.append((await once(script, keys, args), await once(script, keys, args)))
        return answers[-1][1]

    monkeypatch.setattr(Script, "__call__", call)
    return answers


async def test_a_claim_asked_for_again_is_the_same_to_the_last_field(
    desk: Desk, twice: list[tuple[object, object]]
) -> None:
    """Of a suspect with a step behind it, and of a job that never ran but works on what it reads."""
    first = await desk.new("c1", street=A, event_ms=9)
    await desk.queue.checkpoint(await desk.one(), "lookup", result=b"r", credits=1)
    [lease] = await desk.queue.leases()
    assert await desk.queue.reclaim(first, lease.beat) == "reclaimed"
    suspect = await desk.one()
    assert (suspect.job_id, suspect.attempt, suspect.stalled_count, suspect.alone) == (first, 1, 0, True)
    assert suspect.steps["lookup"].by == ""
    await desk.complete(suspect)
    second = await desk.new("c2", street=B)
    await desk.connection.execute("HSET", desk.keys.job(second), "stale", 1)
    assert (await desk.one()).rerun
    for before, after in twice:
        assert before == after


@pytest.fixture
def lose_the_answer(monkeypatch: pytest.MonkeyPatch) -> Lose:
    """Redis does it, and says so to nobody."""
    once = Script.__call__

    async def call(script: Script, keys: Sequence[str], args: Sequence[object]) -> object:
        await once(script, keys, args)
        raise StoreUnavailable("the answer was lost")

    async def lose(verb: Awaitable[object]) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(Script, "__call__", call)
            with pytest.raises(StoreUnavailable):
                await verb

    return lose


async def test_a_claim_whose_answer_was_lost_is_given_again(desk: Desk, lose_the_answer: Lose) -> None:
    ids = {await desk.new("c1"), await desk.new("c2")}
    await desk.new("c3")
    await lose_the_answer(desk.claim(2))
    claims = await desk.claim(2)
    assert {claim.job_id for claim in claims} == ids
    assert {claim.attempt for claim in claims} == {1}
    assert [claim.contact_id for claim in await desk.claim(2, running=2)] == ["c3"]


async def test_a_claim_given_again_holds_nothing_that_is_another_s_by_now(
    desk: Desk, make_desk: MakeDesk, lose_the_answer: Lose
) -> None:
    ids = {await desk.new("c1"), await desk.new("c2")}
    await lose_the_answer(desk.claim(2))
    for lease in await desk.queue.leases():
        assert await desk.queue.reclaim(lease.job_id, lease.beat) == "reclaimed"
    other = make_desk("w2")
    first = await other.one()
    assert await desk.claim(2) == []
    await other.complete(first)
    assert {first.job_id, (await other.one()).job_id} == ids


async def test_deliveries_are_told_apart_by_their_keys(desk: Desk) -> None:
    first, second = await desk.new("c1", key="wh:1"), await desk.new("c2", key="wh:2")
    assert first != second
    assert (await desk.submit("c1", key="wh:1")).job_id == first
    assert (await desk.submit("c2", key="wh:2")).job_id == second


async def test_each_of_several_trigger_tags_counts(connection: Connection) -> None:
    queue = Queue(connection, QueueSettings(), worker="w1", trigger_tags=("One", "Two"))
    desk = Desk(connection, queue)
    await desk.new(tags=("one",))
    await desk.complete(await desk.one())
    assert (await desk.submit(kind="tags", tags=("one",))).verb == "ignored"
    assert (await desk.submit(kind="tags", tags=("one", "TWO"))).verb == "queued"
    assert (await desk.connection.execute("HGET", queue.keys.seen("loc1", "c1"), "tags")) == b",one,two,"


async def test_updates_of_a_contact_never_seen_start_nothing_unless_asked_for(connection: Connection) -> None:
    desk = Desk(connection, Queue(connection, QueueSettings(), worker="w1"))
    assert (await desk.submit(kind="update")).verb == "ignored"


async def test_a_deleted_contact_whose_job_is_at_work_is_remembered_for_half_a_year(desk: Desk) -> None:
    await desk.new()
    await desk.one()
    await desk.submit(kind="delete")
    assert await desk.connection.execute("PTTL", desk.keys.seen("loc1", "c1")) > 170 * 86_400_000


async def test_a_suspect_that_had_to_wait_is_still_one_when_its_time_has_come(desk: Desk) -> None:
    job_id = await desk.new()
    await desk.one()
    [lease] = await desk.queue.leases()
    assert await desk.queue.reclaim(job_id, lease.beat) == "reclaimed"
    await desk.release(await desk.one(), "throttled", await desk.time_ms() + 60_000)
    await desk.new("c2", street=B)
    await desk.make_due(job_id)
    [claim] = await desk.claim(5)
    assert (claim.job_id, claim.alone) == (job_id, True)


async def test_a_lead_told_again_still_tells_the_time(desk: Desk) -> None:
    await desk.new(street=A, event_ms=1)
    assert (await desk.submit(street=A, event_ms=9)).verb == "duplicate"
    assert (await desk.submit(street=B, kind="update", event_ms=5)).verb == "ignored"


async def test_a_job_that_ended_is_not_held(desk: Desk) -> None:
    await desk.new()
    claim = await desk.one()
    [lease] = await desk.queue.leases()
    await desk.complete(claim)
    assert await desk.queue.reclaim(claim.job_id, lease.beat) == "missing"


async def test_an_id_that_waits_in_vain_is_not_taken(desk: Desk) -> None:
    """An id that waits although its job is gone, or is elsewhere by now."""
    await desk.connection.execute("LPUSH", desk.keys.wait_live, "nobody")
    job_id = await desk.new()
    claim = await desk.one()
    await desk.connection.execute("RPUSH", desk.keys.wait_live, job_id)
    assert await desk.claim(5) == []
    await desk.complete(claim)


@pytest.mark.parametrize("state", ["SUCCEEDED", "FAILED_FINAL"])
async def test_who_waits_behind_one_that_ended_unheard_goes_by_its_minute(desk: Desk, state: str) -> None:
    first = await desk.new(street=A)
    claim = await desk.one()
    second = await desk.new(street=B)
    await desk.connection.execute("HDEL", desk.keys.job(first), "behind")
    await (desk.complete(claim) if state == "SUCCEEDED" else desk.bury(claim))
    assert await desk.claim(5) == []
    await desk.make_due(second)
    assert [job.job_id for job in await desk.claim(5)] == [second]


async def test_suspects_are_tried_in_the_order_in_which_they_were_found(desk: Desk) -> None:
    ids = [await desk.new(f"c{number}") for number in range(3)]
    leases = {claim.job_id: 1_000_000.0 for claim in await desk.claim(3)}
    for job_id in ids:
        assert await desk.queue.reclaim(job_id, leases[job_id]) == "reclaimed"
    tried = []
    for _ in ids:
        claim = await desk.one()
        tried.append(claim.job_id)
        await desk.complete(claim)
    assert tried == ids


@pytest.mark.parametrize("lane", list(Lane))
async def test_what_is_left_of_either_lane_wakes_the_next(desk: Desk, lane: Lane) -> None:
    for number in range(3):
        await desk.new(f"c{number}", lane=lane)
    await desk.connection.execute("DEL", desk.keys.wake)
    await desk.claim(1)
    assert await desk.connection.execute("ZCARD", desk.keys.wake) == 1


async def test_a_revived_job_goes_back_to_its_own_lane(desk: Desk) -> None:
    job_id = await desk.new(lane=Lane.BULK)
    await desk.bury(await desk.one())
    await desk.queue.revive(job_id, by="ann")
    assert await desk.connection.execute("LRANGE", desk.keys.wait_bulk, 0, -1) == [job_id.encode()]
    assert await desk.connection.execute("EXISTS", desk.keys.wait_live) == 0


async def test_a_revived_job_waits_behind_what_is_at_work_for_a_contact_that_was_deleted(desk: Desk) -> None:
    """Of a deleted contact only the end of its row is remembered."""
    failed = await desk.new(street=A)
    await desk.bury(await desk.one())
    at_work = await desk.new(street=B)
    claim = await desk.one()
    assert claim.job_id == at_work
    await desk.submit(kind="delete")
    before = await desk.time_ms()
    await desk.queue.revive(failed, by="ann")
    assert (await row_of(desk, at_work), await row_of(desk, failed)) == ((None, failed), (at_work, None))
    due = float(await desk.connection.execute("ZSCORE", desk.keys.sched, failed))
    assert before + 60_000 <= due <= await desk.time_ms() + 60_000
    assert await desk.claim(5) == []
    await desk.complete(claim)
    assert (await desk.one()).job_id == failed


async def test_the_throttle_s_deadline_runs_from_the_first_one(desk: Desk) -> None:
    job_id = await desk.new()
    assert await desk.release(await desk.one(), "throttled", 1)
    first = await desk.connection.execute("HGET", desk.keys.job(job_id), "throttled")
    assert abs(int(first) - await desk.time_ms()) < 60_000
    await desk.connection.execute("HSET", desk.keys.job(job_id), "throttled", int(first) - 5)
    assert await desk.release(await desk.one(), "throttled", 1)
    assert int(await desk.connection.execute("HGET", desk.keys.job(job_id), "throttled")) == int(first) - 5


async def test_a_cancelled_job_that_was_held_is_held_no_longer(desk: Desk) -> None:
    job_id = await desk.new()
    await desk.release(await desk.one(), "provider_paused", await desk.time_ms() + 3_600_000, "ghl:loc1")
    await desk.queue.cancel(job_id, by="ann")
    assert await desk.connection.execute("HMGET", desk.keys.job(job_id), "next", "held") == [None, None]
    assert await desk.connection.execute("ZCARD", desk.keys.sched) == 0


async def test_a_cancelled_suspect_is_none_any_more(desk: Desk) -> None:
    job_id = await desk.new()
    await desk.one()
    [lease] = await desk.queue.leases()
    assert await desk.queue.reclaim(job_id, lease.beat) == "reclaimed"
    await desk.queue.cancel(job_id, by="ann")
    assert await desk.connection.execute("HEXISTS", desk.keys.job(job_id), "suspect") == 0
    assert await desk.connection.execute("LLEN", desk.keys.suspects) == 0


async def test_a_condemned_job_is_counted_told_and_kept_like_any_that_failed(make_desk: MakeDesk) -> None:
    desk = make_desk(max_stalled=0)
    job_id = await desk.new()
    words = []
    for _ in range(3):
        await desk.one()
        [lease] = await desk.queue.leases()
        words.append(await desk.queue.reclaim(job_id, lease.beat))
    assert words == ["reclaimed", "reclaimed", "condemned"]
    stats = await desk.views.stats()
    assert stats.lanes["live"] == {
        "QUEUED": 0, "PROCESSING": 0, "RETRY_SCHEDULED": 0, "SUCCEEDED": 0, "FAILED_FINAL": 1,
    }  # fmt: skip
    assert stats.totals["reason:stalled"] == 1
    job = await desk.job(job_id)
    assert (job.state, job.reason, job.stalled_count, job.attempts_made) == ("FAILED_FINAL", "stalled", 1, 0)
    assert job.error == "its process died 2 times at the same place while it ran alone"
    assert [entry["event"] for entry in job.timeline][-2:] == ["stalled", "failed"]
    assert job.timeline[-2]["charged"] is True
    assert await desk.connection.execute("LLEN", desk.keys.suspects) == 0
    left = await desk.connection.execute("HMGET", desk.keys.job(job_id), "suspect", "alone", "token")
    assert left == [None, None, None]
    assert await desk.connection.execute("ZSCORE", desk.keys.dead, job_id) is not None
    assert await desk.connection.execute("PTTL", desk.keys.load(job_id)) > 0
    await desk.queue.revive(job_id, by="ann")
    assert await desk.connection.execute("HMGET", desk.keys.job(job_id), "stalls", "place") == [None, None]


async def test_a_lease_whose_job_is_gone_is_dropped(desk: Desk) -> None:
    await desk.connection.execute("ZADD", desk.keys.lease, 1_000_000, "nobody")
    assert await desk.queue.reclaim("nobody", 1_000_000.0) == "missing"
    assert await desk.queue.leases() == []


async def test_a_tag_event_does_not_make_an_address_that_came_late_old(desk: Desk) -> None:
    """It tells no address, so the change that was sent before it must still count."""
    await desk.new(street="1 Elm St", event_ms=1_000)
    await desk.complete(await desk.one())
    tagged = await desk.submit(street="2 Elm St", kind="tags", tags=("vip",), event_ms=3_000)
    assert tagged.why == "no new trigger tag"
    assert (await desk.submit(street="2 Elm St", kind="update", event_ms=2_000)).verb == "queued"
