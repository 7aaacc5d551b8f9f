"""What is paused stays so for every daemon: jobs wait uncharged, one tries it out, and all go on when it is back."""

from __future__ import annotations

import pytest
from queue_desk import Desk, MakeDesk
from queue_traces import events

from leadenrich.store.queue import PROBE_MS
from leadenrich.store.switches import PauseKind, Switches

REA = "realestateapi"


@pytest.fixture
def switches(desk: Desk) -> Switches:
    return Switches(desk.connection, desk.keys)


async def marked(desk: Desk) -> bool:
    """Whether the marker that wakes a sleeping worker is there."""
    return bool(await desk.connection.execute("ZCARD", desk.keys.wake))


async def told(desk: Desk) -> list[str]:
    return [event.event for event in await events(desk)]


# --- the queue -----------------------------------------------------------------------------------------------------


async def test_a_paused_queue_gives_no_jobs_to_anybody(desk: Desk, make_desk: MakeDesk, switches: Switches) -> None:
    await desk.new()
    assert await switches.pause_queue("maintenance")
    for worker in (desk, make_desk("w2")):
        grant = await worker.grant()
        assert (grant.claims, grant.hold, grant.next_s) == ((), "paused", None)
    assert (await desk.views.stats()).paused == "maintenance"
    assert await switches.resume_queue()
    assert not await switches.resume_queue()
    assert await marked(desk)
    await desk.one()


async def test_a_paused_queue_still_takes_leads_in_and_endings(desk: Desk, switches: Switches) -> None:
    await desk.new("c1")
    claim = await desk.one()
    await switches.pause_queue("maintenance")
    await desk.new("c2")
    await desk.complete(claim)
    assert await desk.state(claim.job_id) == "SUCCEEDED"


# --- providers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["auth", "credit", "certificate", "operator"])
async def test_while_the_property_provider_is_paused_all_wait(desk: Desk, switches: Switches, kind: PauseKind) -> None:
    job_id = await desk.new()
    assert await switches.pause_provider(REA, kind, "401: the key  has\nexpired | x")
    grant = await desk.grant(5)
    assert (grant.claims, grant.next_s) == ((), None)
    assert await desk.state(job_id) == "QUEUED"
    paused = (await switches.all())[REA]
    assert (paused.kind, paused.reason, paused.until_ms) == (kind, "401: the key has expired | x", 0)
    await desk.connection.execute("DEL", desk.keys.wake)
    assert await switches.resume_provider(REA, why="fixed")
    assert not await switches.resume_provider(REA, why="fixed")
    assert await marked(desk)
    await desk.one()
    assert [event for event in await told(desk) if event.startswith("provider")] == [
        "provider_paused", "provider_resumed",
    ]  # fmt: skip


async def test_a_pause_with_a_time_ends_by_itself(desk: Desk, switches: Switches) -> None:
    await desk.new()
    now = await desk.time_ms()
    await switches.pause_provider(REA, "budget", "spent", until_ms=now + 30_000)
    grant = await desk.grant()
    assert grant.claims == ()
    assert grant.next_s is not None
    assert 28 < grant.next_s <= 30
    await desk.connection.execute("HDEL", desk.keys.meta, f"provider:{REA}")
    await switches.pause_provider(REA, "budget", "spent", until_ms=now - 1)
    await desk.one()
    assert await switches.all() == {}
    assert (await told(desk)).count("provider_resumed") == 1


async def test_a_throttle_is_no_news_but_holds_everybody(desk: Desk, switches: Switches) -> None:
    await desk.new()
    await switches.pause_provider(REA, "throttle", "429", until_ms=await desk.time_ms() + 30_000)
    assert await desk.claim() == []
    assert "provider_paused" not in await told(desk)


async def test_a_paused_location_holds_its_own_leads_only(desk: Desk, switches: Switches) -> None:
    held = [await desk.new(f"c{number}", location_id="away") for number in range(3)]
    free = await desk.new("c9")
    await switches.pause_provider("ghl:away", "auth", "401")
    grant = await desk.grant(5)
    assert [claim.job_id for claim in grant.claims] == [free]
    assert grant.next_s is not None
    for job_id in held:
        job = await desk.job(job_id)
        assert (job.state, job.attempts_made) == ("QUEUED", 0)
        await desk.make_due(job_id)
    assert await desk.claim(5, running=1) == []  # looked at again, and parked again
    assert await switches.resume_provider("ghl:away", why="ops")
    assert {claim.job_id for claim in await desk.claim(5, running=1)} == set(held)


@pytest.mark.parametrize("why", ["throttled", "provider_paused"])
async def test_a_job_that_waits_for_a_provider_goes_on_when_that_one_is_resumed(
    desk: Desk, switches: Switches, why: str
) -> None:
    """Its credits were spent until midnight; an operator bought more at noon."""
    job_id = await desk.new("c1")
    other = await desk.new("c2")
    later = await desk.time_ms() + 3_600_000
    mine, theirs = await desk.claim(2)
    await switches.pause_provider(REA, "credit", "402", until_ms=later)
    await desk.release(mine, why, later, REA)
    await desk.release(theirs, why, later, "ghl:loc1")
    await switches.resume_provider(REA, why="ops")
    assert [claim.job_id for claim in await desk.claim(5)] == [job_id]
    assert await desk.state(other) == "QUEUED"


# --- a probe after an outage ---------------------------------------------------------------------------------------


async def test_after_an_outage_one_job_at_a_time_tries_it_out(desk: Desk, switches: Switches) -> None:
    for number in range(3):
        await desk.new(f"c{number}")
    now = await desk.time_ms()
    await switches.pause_provider(REA, "outage", "503", probe_ms=now + PROBE_MS)
    grant = await desk.grant(5)
    assert grant.claims == ()
    assert grant.next_s is not None
    assert 28 < grant.next_s <= 30
    await switches.pause_provider(REA, "outage", "503", probe_ms=now - 1)
    grant = await desk.grant(5)
    [probe] = grant.claims
    assert probe.probe
    assert grant.next_s is not None
    assert 28 < grant.next_s <= 30
    assert await desk.claim(5, running=1) == []  # the others wait for what it finds
    await switches.resume_provider(REA, why="the probe went through")
    assert [claim.probe for claim in await desk.claim(5, running=1)] == [False, False]


async def test_a_location_is_tried_out_by_its_own_lead(desk: Desk, switches: Switches) -> None:
    for number in range(2):
        await desk.new(f"c{number}", location_id="away")
    await desk.new("c9")
    await switches.pause_provider("ghl:away", "outage", "503", probe_ms=1)
    claims = await desk.claim(5)
    assert [(claim.location_id, claim.probe) for claim in claims] == [("away", True), ("loc1", False)]


async def test_a_suspect_can_be_the_probe_of_its_location(desk: Desk, switches: Switches) -> None:
    await desk.new(location_id="away")
    await desk.one()
    [lease] = await desk.queue.leases()
    await desk.queue.reclaim(lease.job_id, lease.beat)
    await switches.pause_provider("ghl:away", "outage", "503", probe_ms=1)
    claim = await desk.one()
    assert (claim.alone, claim.probe) == (True, True)


# --- which reason stands -------------------------------------------------------------------------------------------


async def test_a_weaker_reason_replaces_no_stronger_one(switches: Switches) -> None:
    order: list[PauseKind] = ["throttle", "outage", "budget", "auth", "operator"]
    for kind in order:
        assert await switches.pause_provider(REA, kind, kind)
        assert not await switches.pause_provider(REA, kind, f"{kind} again")
    for kind in reversed(order[:-1]):
        assert not await switches.pause_provider(REA, kind, kind)
    paused = (await switches.all())[REA]
    assert (paused.kind, paused.reason) == ("operator", "operator again")


async def test_a_pause_tells_who_made_it_and_is_over_in_time(switches: Switches, desk: Desk) -> None:
    await switches.pause_queue("counting|the stock", by="Ann")
    await switches.pause_provider(REA, "operator", "too slow", by="Bob")
    await switches.pause_provider("ghl:loc1", "auth", "401")
    await switches.pause_provider("ghl:loc2", "throttle", "429", until_ms=1)
    told = {name: (pause.by, pause.reason) for name, pause in (await desk.views.pauses()).items()}
    assert told == {"": ("Ann", "counting|the stock"), REA: ("Bob", "too slow"), "ghl:loc1": ("", "401")}


async def test_a_renewed_pause_keeps_the_time_it_began(switches: Switches, desk: Desk) -> None:
    await switches.pause_provider(REA, "outage", "503", probe_ms=5)
    began = (await switches.all())[REA].since_ms
    await desk.connection.execute("HSET", desk.keys.meta, f"provider:{REA}", f"outage|0|5|{began - 5000}|2|503")
    await switches.pause_provider(REA, "outage", "504", probe_ms=6)
    paused = (await switches.all())[REA]
    assert (paused.since_ms, paused.probe_ms, paused.reason) == (began - 5000, 6, "504")


async def test_of_two_waits_asked_for_the_longer_counts_in_either_order(switches: Switches, desk: Desk) -> None:
    now = await desk.time_ms()
    for until in (now + 10_000, now + 60_000, now + 20_000):
        await switches.pause_provider(REA, "throttle", "429", until_ms=until)
    assert (await switches.all())[REA].until_ms == now + 60_000


async def test_a_pause_that_is_over_blocks_no_other_reason(switches: Switches, desk: Desk) -> None:
    await switches.pause_provider(REA, "budget", "spent", until_ms=await desk.time_ms() - 1)
    assert await switches.pause_provider(REA, "outage", "503", probe_ms=5)
    assert (await switches.all())[REA].kind == "outage"


async def test_what_was_read_last_tells_whether_to_ask_again(desk: Desk, switches: Switches) -> None:
    assert switches.may_hold("auth", "certificate")  # nobody has looked yet
    assert await switches.all() == {}
    assert not switches.may_hold("auth", "certificate")
    await switches.pause_provider("ghl:loc1", "outage", "503")
    assert not switches.may_hold("auth", "certificate")
    await switches.pause_provider("realestateapi", "auth", "401")
    assert switches.may_hold("auth", "certificate")
    await switches.resume_provider("realestateapi", why="it answers again")
    await switches.all()
    assert not switches.may_hold("auth", "certificate")
    assert switches.may_hold("outage")
