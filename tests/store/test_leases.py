"""A worker dies: its jobs come back, run alone, and only what ran alone is charged."""

from __future__ import annotations

import pytest
from queue_desk import Desk, MakeDesk

from leadenrich.core.job import Claim
from leadenrich.store.boots import Boots


async def die(desk: Desk) -> None:
    """The process is gone, and all its leases are seen to stand still."""
    for lease in await desk.queue.leases():
        assert await desk.queue.reclaim(lease.job_id, lease.beat) in ("reclaimed", "condemned")


async def test_a_moving_lease_is_never_taken(desk: Desk) -> None:
    await desk.new()
    claim = await desk.one()
    [seen] = await desk.queue.leases()
    assert await desk.queue.extend([claim]) == set()
    before = await desk.dump()
    assert await desk.queue.reclaim(claim.job_id, seen.beat) == "alive"
    assert await desk.dump() == before
    await desk.complete(claim)


async def test_a_lease_of_another_generation_is_never_taken(desk: Desk) -> None:
    """The beat of the first run must not be mistaken for the second's."""
    await desk.new()
    claim = await desk.one()
    [seen] = await desk.queue.leases()
    await desk.release(claim)
    await desk.one()
    assert await desk.queue.reclaim(claim.job_id, seen.beat) == "alive"


async def test_what_is_not_held_cannot_be_taken(desk: Desk) -> None:
    job_id = await desk.new()
    assert await desk.queue.reclaim(job_id, 1_000_000.0) == "missing"
    assert await desk.queue.reclaim("nobody", None) == "missing"


async def test_a_stalled_job_is_announced_and_queued_again_uncharged(desk: Desk) -> None:
    job_id = await desk.new()
    await desk.one()
    await die(desk)
    job = await desk.job(job_id)
    assert (job.state, job.attempts_made, job.stalled_count) == ("QUEUED", 0, 0)
    stalled = job.timeline[-1]
    assert (stalled["event"], stalled["charged"], stalled["by"]) == ("stalled", False, desk.queue.owner)
    claim = await desk.one()
    assert (claim.job_id, claim.attempt, claim.alone, claim.rerun) == (job_id, 1, True, True)


async def test_suspects_run_one_at_a_time_in_a_process_that_does_nothing_else(desk: Desk) -> None:
    for number in range(3):
        await desk.new(f"c{number}")
    await desk.claim(3)
    await die(desk)
    await desk.new("healthy")
    grant = await desk.grant(5, running=2)
    assert (grant.claims, grant.hold) == ((), "drain")
    for _ in range(3):
        [claim] = await desk.claim(5)
        assert claim.alone
        await desk.complete(claim)
    [claim] = await desk.claim(5)
    assert (claim.contact_id, claim.alone) == ("healthy", False)


async def test_other_daemons_go_on_while_one_tries_the_suspects(desk: Desk, make_desk: MakeDesk) -> None:
    await desk.new("suspect")
    await desk.one()
    await die(desk)
    assert (await desk.grant(5, running=1)).hold == "drain"  # this daemon empties itself for it
    other = make_desk("w2")
    await desk.new("healthy")
    [healthy] = await other.claim(5)
    assert (healthy.contact_id, healthy.alone) == ("healthy", False)
    suspect = await desk.one()
    assert (suspect.contact_id, suspect.alone) == ("suspect", True)
    await desk.new("more")
    [more] = await other.claim(5, running=1)
    assert more.contact_id == "more"


async def test_who_turns_to_the_suspects_wakes_another_for_the_rest(desk: Desk) -> None:
    """It took the marker, and takes nothing more for a while: whoever sleeps must hear of what waits."""
    await desk.new("suspect")
    await desk.one()
    await die(desk)
    await desk.new("healthy")
    for running in (1, 0):
        assert await desk.queue.wait(0.1)
        await desk.grant(5, running=running)
    assert await desk.connection.execute("ZCARD", desk.keys.wake) == 1


async def test_a_daemon_that_died_while_it_emptied_itself_holds_the_suspects_no_longer_than_a_lease(
    desk: Desk, make_desk: MakeDesk
) -> None:
    await desk.new("suspect")
    await desk.one()
    await die(desk)
    await desk.grant(5, running=1)
    other = make_desk("w2")
    grant = await other.grant()
    assert grant.claims == ()
    assert grant.next_s is not None
    assert 0 <= grant.next_s <= 1.0
    await desk.connection.execute("HSET", desk.keys.meta, "suspect_until", 1)
    [claim] = await other.claim()
    assert claim.alone


async def test_a_suspect_whose_location_is_paused_steps_aside_for_the_next(desk: Desk) -> None:
    from leadenrich.store.switches import Switches

    await desk.new("c1", location_id="away")
    await desk.new("c2")
    await desk.claim(2)
    await die(desk)
    await Switches(desk.connection, desk.keys).pause_provider("ghl:away", "auth", "401")
    claim = await desk.one()
    assert (claim.contact_id, claim.alone) == ("c2", True)


async def test_only_a_job_that_ran_alone_is_charged(desk: Desk) -> None:
    """One poison lead among four: it alone ends, after it died alone at the same place again and again."""
    poison = await desk.new("poison")
    good = [await desk.new(f"c{number}") for number in range(4)]
    runs = 0
    for _ in range(20):
        claims = await desk.claim(5)
        if not claims:
            break
        ran = {claim.job_id for claim in claims}
        runs += poison in ran
        if poison in ran:
            await die(desk)
            continue
        for claim in claims:
            await desk.complete(claim)
    job = await desk.job(poison)
    assert (job.state, job.reason, job.stalled_count, job.attempts_made) == ("FAILED_FINAL", "stalled", 2, 0)
    assert job.error == "its process died 3 times at the same place while it ran alone"
    assert runs == 4
    for job_id in good:
        neighbour = await desk.job(job_id)
        assert (neighbour.state, neighbour.stalled_count, neighbour.attempts_made) == ("SUCCEEDED", 0, 1)


@pytest.mark.parametrize("most", [0, 1, 3])
async def test_a_job_may_stall_alone_as_often_as_said(make_desk: MakeDesk, most: int) -> None:
    desk = make_desk(max_stalled=most)
    job_id = await desk.new()
    await desk.one()
    await die(desk)  # not alone: not charged
    await desk.one()
    await die(desk)  # alone, but for the first time: it may have been anybody's doing
    for charge in range(1, most + 2):
        assert await desk.state(job_id) == "QUEUED"
        assert (await desk.one()).stalled_count == charge - 1
        await die(desk)
    assert (await desk.job(job_id)).stalled_count == most + 1
    assert await desk.state(job_id) == "FAILED_FINAL"


async def test_a_condemned_job_lets_the_contacts_next_go(make_desk: MakeDesk) -> None:
    desk = make_desk(max_stalled=0)
    await desk.new()
    await desk.one()
    for _ in range(2):
        await die(desk)
        await desk.one()
    second = await desk.new(street="2 Second St")
    await die(desk)
    assert (await desk.one()).job_id == second


async def test_a_suspect_that_ends_well_is_one_no_longer(desk: Desk) -> None:
    job_id = await desk.new()
    await desk.one()
    await die(desk)
    await desk.retry(await desk.one())
    await desk.make_due(job_id)
    assert not (await desk.one()).alone


async def test_a_suspect_handed_back_is_still_one(desk: Desk) -> None:
    job_id = await desk.new()
    await desk.one()
    await die(desk)
    await desk.release(await desk.one())
    for charges in (0, 1):
        assert (await desk.one()).alone
        await die(desk)
        assert (await desk.job(job_id)).stalled_count == charges


async def test_a_job_that_gets_further_each_time_is_no_poison(desk: Desk) -> None:
    """Its process dies whenever it runs, but not again and again at the same place: somebody else kills it."""
    job_id = await desk.new()
    await desk.one()
    await die(desk)
    for step in ("lookup", "fields", "tags", "note"):
        await desk.queue.checkpoint(await desk.one(), step, result=b"done")
        await die(desk)
        assert (await desk.job(job_id)).stalled_count == 0
        await desk.one()
        await die(desk)
        assert (await desk.job(job_id)).stalled_count == 1
    await desk.complete(await desk.one())
    assert await desk.state(job_id) == "SUCCEEDED"


# --- takeover ------------------------------------------------------------------------------------------------------


async def test_a_restarted_worker_takes_back_its_own_leases_at_once(desk: Desk, make_desk: MakeDesk) -> None:
    mine = {await desk.new(f"c{number}") for number in range(2)}
    await desk.claim(2)
    neighbour = make_desk("w1-b")
    theirs = await desk.new("other")
    await neighbour.one()
    again = make_desk("w1")
    assert await again.queue.takeover() == dict.fromkeys(mine, "reclaimed")
    assert await desk.state(theirs) == "PROCESSING"
    assert await again.queue.takeover() == {}
    claim = await again.one()
    assert claim.alone
    assert await again.queue.takeover() == {}  # its own boot's leases are alive


async def test_of_a_workers_boots_all_but_the_latest_are_over(desk: Desk, make_desk: MakeDesk) -> None:
    boots, again = Boots(desk.connection, desk.keys), make_desk("w1")
    await boots.announce(desk.queue.owner)
    assert not await boots.is_over(desk.queue.owner)
    await boots.announce(again.queue.owner)
    assert await boots.is_over(desk.queue.owner)
    assert not await boots.is_over(again.queue.owner)
    assert not await boots.is_over("never/seen"), "who is only silent may sleep"


async def test_a_worker_name_may_hold_any_sign(make_desk: MakeDesk) -> None:
    desk = make_desk("host.example/blue:8080")
    job_id = await desk.new()
    await desk.one()
    assert await make_desk("host.example").queue.takeover() == {}
    assert await make_desk("host.example/blue:8080").queue.takeover() == {job_id: "reclaimed"}


# --- steps ---------------------------------------------------------------------------------------------------------


async def test_an_intent_without_a_result_is_an_unknown_purchase(desk: Desk) -> None:
    job_id = await desk.new()
    claim = await desk.one()
    await desk.queue.checkpoint(claim, "lookup", paid=True)
    await die(desk)
    claim = await desk.one()
    assert claim.steps["lookup"].ended_ms is None
    again = await desk.queue.checkpoint(claim, "lookup", paid=True)
    assert again.unknown == 1
    done = await desk.queue.checkpoint(claim, "lookup", result=b"record", credits=1)
    assert done.unknown == 1
    totals = (await desk.views.stats()).totals
    assert (totals["credits"], totals["unknown_purchases"]) == (1, 1)
    [step] = (await desk.job(job_id)).steps
    assert (step.unknown, step.credits) == (1, 1)


async def test_an_intent_of_a_free_step_counts_as_nothing(desk: Desk) -> None:
    await desk.new()
    for _ in range(2):
        claim = await desk.one()
        assert (await desk.queue.checkpoint(claim, "fields")).unknown == 0
        await die(desk)
    assert (await desk.views.stats()).totals["unknown_purchases"] == 0


async def test_a_withdrawn_intent_counts_as_nothing_but_earlier_ones_stay(desk: Desk) -> None:
    await desk.new()
    claim = await desk.one()
    await desk.queue.checkpoint(claim, "lookup", paid=True)
    await desk.queue.withdraw(claim, "lookup")
    await die(desk)
    claim = await desk.one()
    assert claim.steps == {}
    await desk.queue.checkpoint(claim, "lookup", paid=True)
    await die(desk)
    claim = await desk.one()
    await desk.queue.checkpoint(claim, "lookup", paid=True)
    await desk.queue.withdraw(claim, "lookup")
    [step] = (await desk.job(claim.job_id)).steps
    assert step.unknown == 1
    assert (await desk.queue.checkpoint(claim, "lookup", paid=True)).unknown == 1


@pytest.mark.parametrize("intended", [True, False])
@pytest.mark.parametrize("earlier", ["1000|2000|0|0|0", "1000||0|0|0"])
async def test_a_step_done_anew_begins_anew_and_one_told_twice_does_not(
    desk: Desk, intended: bool, earlier: str
) -> None:
    """Else it would have lasted from the first try to the last; a result is sent again where its answer was lost."""
    job_id = await desk.new()
    claim = await desk.one()
    await desk.connection.execute("HSET", desk.keys.steps(job_id), "fields", earlier)  # by a run long ago
    await desk.connection.execute("HSET", desk.keys.job(job_id), "steps", 1)
    began = await desk.time_ms()
    if intended:
        began = (await desk.queue.checkpoint(claim, "fields")).started_ms
        assert began > 2000
        await desk.later_ms(began)
    done = await desk.queue.checkpoint(claim, "fields", result=b"r")
    assert done.started_ms == began if intended else done.started_ms >= began
    await desk.later_ms(done.started_ms)
    assert (await desk.queue.checkpoint(claim, "fields", result=b"r")).started_ms == done.started_ms


async def test_results_survive_the_run(desk: Desk) -> None:
    """Bytes of any kind, opaque to Lua."""
    payload = bytes(range(256)) * 4
    await desk.new()
    claim: Claim = await desk.one()
    await desk.queue.checkpoint(claim, "lookup", result=payload, cached=True)
    await desk.queue.checkpoint(claim, "empty", result=b"")
    await desk.release(claim)
    steps = (await desk.one()).steps
    assert (steps["lookup"].result, steps["lookup"].cached, steps["lookup"].credits) == (payload, True, 0)
    assert steps["empty"].result == b""
    assert steps["lookup"].ended_ms is not None


async def test_a_restarted_worker_goes_on_with_its_suspects_at_once(desk: Desk, make_desk: MakeDesk) -> None:
    """Its earlier boot died over one of them: nobody else is trying them, so there is nothing to wait for."""
    await desk.new()
    await desk.one()
    again = make_desk("w1", lease=600.0)
    await again.queue.takeover()
    assert (await again.one()).alone
    third = make_desk("w1", lease=600.0)
    await third.queue.takeover()
    assert (await third.one()).alone
