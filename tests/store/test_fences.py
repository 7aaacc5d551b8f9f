"""A late hand changes nothing, and a call sent twice is one call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast

import pytest
from queue_desk import Desk, MakeDesk

from leadenrich.core.errors import LostLease
from leadenrich.core.job import Claim, Outcome, Reason
from leadenrich.core.retry import Bury, Complete, Failure, Release, RetryLater
from leadenrich.store.connection import Connection
from leadenrich.store.scripts import Script

LATE: dict[str, Callable[[Desk, Claim], Awaitable[object]]] = {
    "complete": lambda desk, claim: desk.complete(claim),
    "retry_later": lambda desk, claim: desk.retry(claim),
    "bury": lambda desk, claim: desk.bury(claim),
    "release": lambda desk, claim: desk.release(claim),
    "intent": lambda desk, claim: desk.queue.checkpoint(claim, "lookup", paid=True),
    "result": lambda desk, claim: desk.queue.checkpoint(claim, "lookup", result=b"late", credits=1),
    "withdraw": lambda desk, claim: desk.queue.withdraw(claim, "lookup"),
}


async def taken_over(desk: Desk) -> Claim:
    """A claim whose lease was taken back; the job is at work elsewhere by now."""
    await desk.new()
    claim = await desk.one()
    [lease] = await desk.queue.leases()
    assert await desk.queue.reclaim(claim.job_id, lease.beat) == "reclaimed"
    assert (await desk.one()).job_id == claim.job_id
    return claim


@pytest.mark.parametrize("verb", LATE)
async def test_a_worker_that_lost_its_lease_writes_nothing(desk: Desk, verb: str) -> None:
    late = await taken_over(desk)
    before = await desk.dump()
    with pytest.raises(LostLease):
        await LATE[verb](desk, late)
    assert await desk.dump() == before


@pytest.mark.parametrize("verb", LATE)
async def test_between_reclaim_and_the_next_claim_nothing_is_written_either(desk: Desk, verb: str) -> None:
    await desk.new()
    claim = await desk.one()
    [lease] = await desk.queue.leases()
    await desk.queue.reclaim(claim.job_id, lease.beat)
    before = await desk.dump()
    with pytest.raises(LostLease):
        await LATE[verb](desk, claim)
    assert await desk.dump() == before


@pytest.mark.parametrize("verb", LATE)
async def test_a_job_that_is_gone_is_a_lost_lease(make_desk: MakeDesk, verb: str) -> None:
    desk = make_desk(keep_succeeded=0)
    await desk.new()
    claim = await desk.one()
    await desk.complete(claim)
    with pytest.raises(LostLease, match="missing"):
        await LATE[verb](desk, claim)


async def test_a_settled_job_takes_no_second_ending(desk: Desk) -> None:
    job_id = await desk.new()
    claim = await desk.one()
    await desk.complete(claim)
    for verb in ("retry_later", "bury", "release", "intent"):
        with pytest.raises(LostLease):
            await LATE[verb](desk, claim)
    assert await desk.state(job_id) == "SUCCEEDED"


async def test_a_late_beat_renews_nothing_and_says_so(desk: Desk) -> None:
    late = await taken_over(desk)
    [before] = await desk.queue.leases()
    assert await desk.queue.extend([late]) == {late.job_id}
    assert await desk.queue.leases() == [before]


async def test_tokens_of_a_job_only_grow(desk: Desk) -> None:
    await desk.new()
    generations = []
    for _ in range(4):
        claim = await desk.one()
        assert claim.token.startswith(f"{desk.queue.owner}:")
        generations.append(int(claim.token.rpartition(":")[2]))
        await desk.release(claim)
    assert generations == [1, 2, 3, 4]


# --- sent twice ----------------------------------------------------------------------------------------------------


class Twice:
    """A queue whose every script is sent twice, as after a lost answer; the second answer is what counts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers: list[tuple[str, object, object]] = []
        once = Script.__call__

        async def call(script: Script, keys: object, args: object) -> object:
            first = await once(script, keys, args)  # type: ignore[arg-type]
            second = await once(script, keys, args)  # type: ignore[arg-type]
            self.answers.append((script.name, first, second))
            return second

        monkeypatch.setattr(Script, "__call__", call)

    def same(self) -> None:
        assert self.answers
        for name, first, second in self.answers:
            assert first == second, name


@pytest.fixture
def twice(monkeypatch: pytest.MonkeyPatch) -> Twice:
    return Twice(monkeypatch)


async def test_leads_sent_twice_are_queued_once(desk: Desk, twice: Twice) -> None:
    job_id = await desk.new(key="wh:1")
    assert (await desk.submit(key="wh:1")).job_id == job_id
    assert (await desk.submit(street="2 Second St", kind="update")).job_id == job_id  # replaced, with no delivery id
    assert (await desk.submit(kind="tags", tags=("enrich",))).job_id == job_id
    assert (await desk.submit(kind="opportunity")).job_id == job_id
    await desk.submit("c2", kind="update")
    twice.same()
    assert (await desk.views.stats()).lanes["live"]["QUEUED"] == 1
    assert await desk.connection.execute("LLEN", desk.keys.wait_live) == 1


async def test_a_deletion_sent_twice_is_one(desk: Desk, twice: Twice) -> None:
    await desk.new()
    await desk.submit(kind="delete")
    twice.same()
    assert (await desk.views.stats()).totals["reason:contact_not_found"] == 1


async def test_a_claim_sent_twice_gives_the_same_jobs(desk: Desk, twice: Twice) -> None:
    ids = [await desk.new(f"c{number}") for number in range(4)]
    claims = await desk.claim(3)
    assert [claim.job_id for claim in claims] == ids[:3]
    assert all(claim.attempt == 1 and not claim.rerun for claim in claims)
    twice.same()
    [rest] = await desk.claim(3, running=3)
    assert rest.job_id == ids[3]


async def test_a_suspect_claimed_twice_is_still_alone(desk: Desk, twice: Twice) -> None:
    await desk.new()
    await desk.one()
    [lease] = await desk.queue.leases()
    assert await desk.queue.reclaim(lease.job_id, lease.beat) == "reclaimed"
    assert (await desk.one()).alone
    twice.same()


async def test_endings_sent_twice_are_one(desk: Desk, twice: Twice) -> None:
    for contact in ("done", "later", "back", "throttled", "failed"):
        await desk.new(contact)
    claims = await desk.claim(5)
    await desk.queue.complete(claims[0], Complete(Outcome.REVIEW))
    await desk.queue.retry_later(claims[1], RetryLater(30.0, Failure("502")))
    await desk.queue.release(claims[2], Release("shutdown", None, Failure("end")))
    await desk.queue.release(claims[3], Release("throttled", await desk.time_ms() + 60_000, Failure("429")))
    await desk.queue.bury(claims[4], Bury(Reason.BAD_ADDRESS, Failure("no"), Outcome.NO_ADDRESS))
    twice.same()
    stats = await desk.views.stats()
    assert stats.lanes["live"] == {
        "QUEUED": 2, "PROCESSING": 0, "RETRY_SCHEDULED": 1, "SUCCEEDED": 1, "FAILED_FINAL": 1,
    }  # fmt: skip
    assert stats.totals == {
        "credits": 0, "unknown_purchases": 0, "outcome:NO_ADDRESS": 1, "outcome:REVIEW": 1, "reason:bad_address": 1,
    }  # fmt: skip
    for claim in claims:
        assert len((await desk.job(claim.job_id)).timeline) == 3


async def test_checkpoints_sent_twice_cost_once(desk: Desk, twice: Twice) -> None:
    await desk.new()
    claim = await desk.one()
    assert (await desk.queue.checkpoint(claim, "lookup", paid=True)).unknown == 0
    assert (await desk.queue.checkpoint(claim, "lookup", result=b"record", credits=1)).result == b"record"
    totals = (await desk.views.stats()).totals
    assert (totals["credits"], totals["unknown_purchases"]) == (1, 0)


async def test_a_withdrawal_sent_twice_is_one(desk: Desk, twice: Twice) -> None:
    await desk.new()
    claim = await desk.one()
    await desk.queue.checkpoint(claim, "lookup", paid=True)
    await desk.queue.withdraw(claim, "lookup")
    assert (await desk.job(claim.job_id)).steps == []


async def test_a_reclaim_sent_twice_is_one(make_desk: MakeDesk, twice: Twice) -> None:
    desk = make_desk(max_stalled=0)
    await desk.new()
    for word in ("reclaimed", "reclaimed", "condemned"):
        await desk.one()
        [lease] = await desk.queue.leases()
        assert await desk.queue.reclaim(lease.job_id, lease.beat) == word
    twice.same()
    assert (await desk.views.stats()).totals["reason:stalled"] == 1


async def test_operators_verbs_sent_twice_are_one(desk: Desk, twice: Twice) -> None:
    job_id = await desk.new()
    await desk.queue.cancel(job_id, by="ops")
    await desk.queue.revive(job_id, by="ops")
    await desk.queue.cancel(job_id, by="ops")
    twice.same()
    assert (await desk.views.stats()).totals["reason:cancelled"] == 2


# --- Redis forgets -------------------------------------------------------------------------------------------------


async def test_scripts_that_redis_forgot_are_loaded_again(desk: Desk, connection: Connection) -> None:
    """SCRIPT FLUSH, or a restart, between any two calls."""

    async def forget() -> None:
        await connection.execute("SCRIPT", "FLUSH")

    job_id = await desk.new()
    await forget()
    claim = await desk.one()
    await forget()
    assert await desk.queue.extend([claim]) == set()
    await forget()
    await desk.queue.checkpoint(claim, "lookup", result=b"x")
    await forget()
    await desk.bury(claim)
    await forget()
    await desk.queue.revive(job_id, by="ops")
    await forget()
    claim = await desk.one()
    [lease] = await desk.queue.leases()
    await forget()
    assert await desk.queue.reclaim(job_id, lease.beat) == "reclaimed"
    await forget()
    await desk.queue.cancel(job_id, by="ops")
    assert await desk.state(job_id) == "FAILED_FINAL"


async def test_a_forgotten_queue_starts_anew(desk: Desk, connection: Connection) -> None:
    """FLUSHALL under a running daemon: its claims are lost leases, and new leads are taken as ever."""
    await desk.new()
    claim = await desk.one()
    await connection.execute("FLUSHALL")
    with pytest.raises(LostLease):
        await desk.complete(claim)
    assert await desk.queue.extend([claim]) == {claim.job_id}
    await desk.new()
    await desk.one()


async def test_a_purchase_cut_off_is_counted_however_its_job_ends(desk: Desk) -> None:
    """The process died between the intent and the answer, and the job never comes to the look-up again."""
    ended = []
    for contact in ("buried", "completed", "cancelled"):
        await desk.new(contact)
        [claim] = (await desk.queue.claim(1, running=0)).claims
        await desk.queue.checkpoint(claim, "lookup", paid=True)
        if contact == "buried":
            await desk.queue.bury(claim, Bury(Reason.CONTACT_NOT_FOUND, Failure("gone")))
        elif contact == "completed":
            await desk.queue.complete(claim, Complete(Outcome.QUALIFIED))
        else:
            await desk.queue.release(claim, Release("shutdown", None, Failure("")))
            await desk.queue.cancel(claim.job_id, by="somebody")
        ended.append(claim.job_id)
    for job_id in ended:
        job = await desk.views.job(job_id)
        assert job is not None
        assert [step.unknown for step in job.steps] == [1]
    assert (await desk.views.stats()).totals["unknown_purchases"] == 3


async def test_a_claim_that_comes_after_the_next_gets_nothing(desk: Desk) -> None:
    """It stood in a dead connection: nobody hears its answer, and what it took would wait for a whole lease."""
    first, second, third = [await desk.new(f"c{number}") for number in range(3)]
    assert [claim.job_id for claim in await desk.claim(1)] == [first]
    assert [claim.job_id for claim in await desk.claim(1, running=1)] == [second]
    desk.queue._claims -= 2
    assert await desk.claim(1, running=2) == []
    assert await desk.state(third) == "QUEUED"
    desk.queue._claims += 1
    assert [claim.job_id for claim in await desk.claim(1, running=2)] == [third]


async def test_a_claim_that_comes_after_a_later_boots_gets_nothing(desk: Desk, make_desk: MakeDesk) -> None:
    """It stood in the dead process' connection while the next one began: nobody hears its answer either."""
    script, sent = desk.queue._script("claim"), []

    async def noted(keys: list[str], args: list[object]) -> object:
        sent.append((keys, args))
        return await script(keys, args)

    desk.queue._scripts["claim"] = cast("Script", noted)
    await desk.new("c0")
    await desk.one()
    later = make_desk(desk.queue.worker)
    [taken_over] = await later.queue.takeover()
    assert [claim.job_id for claim in await later.claim(1)] == [taken_over]
    [(keys, args)] = sent
    waiting = await desk.new("c1")
    assert await script(keys, [*args[:4], 2, *args[5:]]) == [[], b"-1", b"late"]
    assert await desk.state(waiting) == "QUEUED"
    assert [claim.job_id for claim in await later.claim(1, running=1)] == [waiting]


async def test_a_worker_whose_last_claim_a_failover_lost_goes_on(desk: Desk) -> None:
    """The replica that took over knows only the boot before: ours is no late word for that."""
    await desk.new("c0")
    await desk.one()
    await desk.connection.execute("HSET", desk.keys.workers, f"claim:{desk.queue.worker}", "w1/before|7|")
    second = await desk.new("c1")
    assert [claim.job_id for claim in await desk.claim(1, running=1)] == [second]
    third = await desk.new("c2")
    assert [claim.job_id for claim in await desk.claim(1, running=2)] == [third]
