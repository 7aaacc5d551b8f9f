"""When a provider is out for everybody it is paused for everybody; one bad lead is only its own trouble."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from worker_crew import Crew, MakeCrew, WaitUntil

from leadenrich.core.errors import Permanent, ProviderOut, Transient, Trouble
from leadenrich.core.job import Claim, Outcome, Reason
from leadenrich.store.connection import Connection
from leadenrich.store.errors import StoreUnavailable

REA = "realestateapi"
DOWN = Transient("503", provider=REA, status=503)
GHL_DOWN = Transient("503", provider="ghl:loc1", status=503)


@pytest.fixture
def connection(embedded: Connection) -> Connection:
    return embedded


def refusing(*contacts: str, error: Exception = DOWN) -> Callable[..., Awaitable[None]]:
    async def act(claim: Claim, steps: Any) -> None:
        if claim.contact_id in contacts:
            raise error

    return act


async def selling(claim: Claim, steps: Any) -> None:
    await steps.intend("lookup")
    await steps.record("lookup", b"x", credits=1)


async def probe_with(crew: Crew, act: Any, provider: str = REA) -> str | None:
    """The provider is out; one lead tries it out. What it is paused for afterwards."""
    await crew.switches.pause_provider(provider, "outage", "503", probe_ms=1)
    crew.script.act = act
    await crew.desk.new("probe")
    claim = await crew.desk.one()
    assert claim.probe
    await crew.runner.run(claim)
    paused = await crew.switches.all()
    return paused[provider].kind if provider in paused else None


async def test_five_different_leads_in_a_row_pause_the_provider_and_burn_nobody(
    make_crew: MakeCrew, wait_until: WaitUntil
) -> None:
    crew = make_crew(concurrency=1, backoff_delay=60.0)
    contacts = [f"c{number}" for number in range(12)]
    crew.script.act = refusing(*contacts)
    ids = [await crew.desk.new(contact) for contact in contacts]

    async def paused() -> bool:
        return REA in await crew.switches.all()

    async with crew.at_work():
        await wait_until(paused)
    assert len(crew.script.runs) == 5
    jobs = [await crew.desk.job(job_id) for job_id in ids]
    assert [job.state for job in jobs] == ["RETRY_SCHEDULED"] * 4 + ["QUEUED"] * 8
    assert [job.attempts_made for job in jobs] == [1] * 4 + [0] * 8
    pause = (await crew.switches.all())[REA]
    assert pause.kind == "outage"
    assert pause.probe_ms > await crew.desk.time_ms()
    assert crew.told.names(REA) == ["provider_paused"]


async def test_a_machine_that_is_cut_off_from_redis_too_stops_no_vendor(
    make_crew: MakeCrew, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five of its calls failed, and so does the word that the vendor is out: the wire may be ours. It counts anew."""
    crew = make_crew(concurrency=6)
    for number in range(6):
        await crew.desk.new(f"c{number}")
    *five, sixth = await crew.desk.claim(6)

    async def away(*args: object, **more: object) -> bool:
        raise StoreUnavailable("no route to host")

    with monkeypatch.context() as cut:
        cut.setattr(crew.switches, "pause_provider", away)
        assert [await crew.outages.judge(DOWN, claim, looked_up=False) for claim in five] == [DOWN] * 5
    assert await crew.outages.judge(DOWN, sixth, looked_up=False) is DOWN
    assert await crew.switches.all() == {}


async def test_one_bad_lead_alone_fails_in_its_tries_while_the_others_go_on(
    make_crew: MakeCrew, wait_until: WaitUntil
) -> None:
    crew = make_crew()
    crew.script.act = refusing("bad")
    good = [f"c{number}" for number in range(20)]
    async with crew.at_work():
        bad = await crew.desk.new("bad")
        for contact in good:
            await crew.desk.new(contact)
        await wait_until(lambda: crew.ended("bad", *good))
    job = await crew.desk.job(bad)
    assert (job.reason, job.attempts_made) == ("attempts_exhausted", 3)
    assert await crew.switches.all() == {}
    assert crew.script.marks == ["bad"]


async def test_the_row_is_broken_by_an_answer_and_not_by_a_cached_record(make_crew: MakeCrew) -> None:
    crew = make_crew(backoff_delay=60.0)

    async def cached(claim: Claim, steps: Any) -> None:
        await steps.record("lookup", b"x", cached=True)

    async def refused(claim: Claim, steps: Any) -> None:
        raise Permanent("422", reason=Reason.REJECTED_BY_PROVIDER, provider=REA, status=422)

    async def run(contact: str, act: Any) -> bool:
        crew.script.act = act
        await crew.desk.new(contact)
        await crew.runner.run(await crew.desk.one())
        return REA in await crew.switches.all()

    for number, breaks in enumerate([selling, refused]):
        for fails in range(4):
            assert not await run(f"a{number}{fails}", refusing(f"a{number}{fails}"))
        assert not await run(f"b{number}", breaks)
    for fails in range(4):
        assert not await run(f"c{fails}", refusing(f"c{fails}"))
    assert not await run("d", cached)
    assert await run("e", refusing("e"))


async def test_locations_are_counted_apart(make_crew: MakeCrew) -> None:
    crew = make_crew(backoff_delay=60.0)
    for number in range(4):
        for location in ("loc1", "loc2"):
            contact = f"{location}-{number}"
            crew.script.act = refusing(contact, error=Transient("503", provider=f"ghl:{location}"))
            await crew.desk.new(contact, location_id=location)
            await crew.runner.run(await crew.desk.one())
    assert await crew.switches.all() == {}


async def test_a_probe_that_goes_through_resumes_the_provider(make_crew: MakeCrew) -> None:
    crew = make_crew()
    assert await probe_with(crew, selling) is None
    assert crew.told.names(REA) == ["provider_resumed"]


async def test_a_probe_that_fails_costs_no_try_and_the_pause_goes_on(make_crew: MakeCrew) -> None:
    crew = make_crew()
    assert await probe_with(crew, refusing("probe")) == "outage"
    [job_id] = [claim.job_id for claim in crew.script.runs]
    job = await crew.desk.job(job_id)
    assert (job.state, job.attempts_made) == ("QUEUED", 0)
    assert "the probe failed" in (job.error or "")
    assert (await crew.switches.all())[REA].probe_ms > await crew.desk.time_ms()
    assert crew.told.names(REA) == []  # no news


async def test_a_probe_answered_by_the_cache_proves_nothing(make_crew: MakeCrew) -> None:
    async def cached(claim: Claim, steps: Any) -> None:
        await steps.record("lookup", b"x", cached=True)

    assert await probe_with(make_crew(), cached) == "outage"


async def test_a_probe_for_a_house_nobody_knows_proves_the_provider_works(make_crew: MakeCrew) -> None:
    async def unknown(claim: Claim, steps: Any) -> None:
        await selling(claim, steps)
        raise Permanent("no such property", reason=Reason.PROPERTY_NOT_FOUND, outcome=Outcome.NO_MATCH)

    assert await probe_with(make_crew(), unknown) is None


async def test_a_probe_of_one_provider_says_nothing_bad_of_another(make_crew: MakeCrew) -> None:
    """The look-up went through, HighLevel failed once: the seller is back, HighLevel is not out."""
    crew = make_crew()

    async def act(claim: Claim, steps: Any) -> None:
        await selling(claim, steps)
        raise GHL_DOWN

    assert await probe_with(crew, act) is None
    assert await crew.switches.all() == {}
    [claim] = crew.script.runs
    assert (await crew.desk.job(claim.job_id)).state == "RETRY_SCHEDULED"


async def test_a_locations_probe_resumes_the_location(make_crew: MakeCrew) -> None:
    crew = make_crew()
    assert await probe_with(crew, None, "ghl:loc1") is None


async def test_a_probe_ends_no_pause_of_another_kind(make_crew: MakeCrew) -> None:
    crew = make_crew()
    await crew.switches.pause_provider("ghl:loc1", "outage", "503", probe_ms=1)
    crew.script.act = selling
    await crew.desk.new()
    claim = await crew.desk.one()
    await crew.switches.pause_provider(REA, "operator", "stop")
    await crew.runner.run(claim)
    assert (await crew.switches.all()).keys() == {REA}


@pytest.mark.parametrize("kind", ["auth", "certificate"])
async def test_a_refused_key_is_looked_at_again_for_free(make_crew: MakeCrew, kind: Any) -> None:
    crew, asked = make_crew(), []
    error: Trouble | None = ProviderOut("401", provider=REA, kind=kind)
    await crew.outages.pause(error)

    async def check(name: str) -> None:
        asked.append(name)
        if error:
            raise error

    await crew.outages.look_again(check)
    assert REA in await crew.switches.all()
    error = None
    await crew.outages.look_again(check)
    assert await crew.switches.all() == {}
    assert asked == [REA, REA]
    assert crew.told.names(REA) == ["provider_paused", "provider_resumed"]


@pytest.mark.parametrize("kind", ["credit", "budget", "operator", "outage", "throttle"])
async def test_what_only_a_paid_call_could_prove_is_not_tried(make_crew: MakeCrew, kind: Any) -> None:
    crew = make_crew()
    await crew.switches.pause_provider(REA, kind, "no", until_ms=0)
    await crew.switches.pause_queue("ops")

    async def check(name: str) -> None:
        raise AssertionError(name)

    await crew.outages.look_again(check)
    assert len(await crew.switches.all()) == 2


async def test_a_pause_is_told_once(make_crew: MakeCrew) -> None:
    crew, other = make_crew("w1"), make_crew("w2")
    for outages in (crew.outages, crew.outages, other.outages):
        await outages.pause(ProviderOut("401", provider=REA, kind="auth"))
    assert crew.told.names(REA) == ["provider_paused"]
    assert other.told.names(REA) == []
