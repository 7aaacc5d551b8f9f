"""The vendors fail in every way: whose fault it is decides who waits, who is charged, and what is called again."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from daemon_process import ENDED, Inside, Job, events_of, inside, look_ups, new_sandbox, people, settings_for, until
from redis_server import running

from leadenrich.core.job import JobState
from leadenrich.sandbox.faults import Fault, Match
from leadenrich.store.switches import Switches

LOOK_UP = Match(path="PropertyDetail")
PROBE_S = 0.3


@asynccontextmanager
async def serving(folder: Path, **sections: Any) -> AsyncIterator[Inside]:
    (folder / "redis").mkdir()
    with running(folder / "redis") as redis:
        async with new_sandbox() as sandbox:
            settings = settings_for(sandbox, redis.url, **sections)
            async with inside(sandbox, folder, settings, probe_s=PROBE_S) as daemon:
                yield daemon


async def tell_all(daemon: Inside, count: int, **more: Any) -> list[str]:
    return [await daemon.tell(contact) for contact in people(daemon.sandbox, count, **more)]


def ended_well(jobs: list[Job]) -> None:
    assert Counter((job["state"], job["outcome"]) for job in jobs) == {("SUCCEEDED", "QUALIFIED"): len(jobs)}


def uncharged(jobs: list[Job]) -> None:
    """Each ended at its first counted try, and no stall was held against it."""
    assert {(job["attempts_made"], job["stalled_count"]) for job in jobs} == {(1, 0)}


ONE_BAD_ANSWER = {
    "server_error": Fault("server_error"),
    "bad_gateway": Fault("bad_gateway"),
    "edge": Fault("forbidden_html"),
    "too slow": Fault("slow", seconds=0.8),
    "hang": Fault("hang", seconds=0.8),
    "cut off": Fault("cut_off"),
    "truncated": Fault("truncated"),
    "reset": Fault("reset"),
    "lost answer": Fault("lost_answer"),
    "empty": Fault("empty"),
    "request timeout": Fault("status", status=408),
    "too early": Fault("status", status=425),
}


async def test_one_bad_answer_costs_one_try(tmp_path: Path) -> None:
    """Each is sent once a try: what the vendor's log shows is what happened."""
    async with serving(tmp_path, realestateapi={"timeout": 0.5}) as daemon:
        found = {}
        for number, (name, fault) in enumerate(ONE_BAD_ANSWER.items()):
            daemon.sandbox.faults.add(fault, match=LOOK_UP)
            before = len(look_ups(daemon.sandbox))
            [job] = await daemon.ended(await tell_all(daemon, 1, start=number))
            found[name] = (job["outcome"], job["attempts_made"], len(look_ups(daemon.sandbox)) - before)
            assert events_of(job) == ["queued", "started", "retrying", "started", "completed"]
        assert found == dict.fromkeys(ONE_BAD_ANSWER, ("QUALIFIED", 2, 2))


async def test_what_ends_a_lead_at_once(tmp_path: Path) -> None:
    ends = {
        "neighbour": (Fault("neighbour"), "property_not_found", "NO_MATCH", ["ADDRESS_MISMATCH"]),
        "moved": (Fault("redirect"), "rejected_by_provider", None, []),
        "refused": (Fault("status", status=422, body="{}"), "rejected_by_provider", None, []),
    }
    async with serving(tmp_path) as daemon:
        for number, (fault, reason, outcome, codes) in enumerate(ends.values()):
            daemon.sandbox.faults.add(fault, match=LOOK_UP)
            [job] = await daemon.ended(await tell_all(daemon, 1, start=number))
            assert (job["state"], job["reason"], job["outcome"]) == ("FAILED_FINAL", reason, outcome)
            assert (job["disqualified_by"], job["attempts_made"]) == (codes, 1)


@pytest.mark.parametrize("named", [1, "date+1", None])
async def test_a_throttle_closes_the_vendor_for_every_lead(tmp_path: Path, named: int | str | None) -> None:
    """Nobody calls before the time that the vendor names (one second where it names none), and nobody is charged."""
    async with serving(tmp_path) as daemon:
        daemon.sandbox.faults.add(Fault("throttle", retry_after=named), match=LOOK_UP)
        jobs = await daemon.ended(await tell_all(daemon, 12))
        ended_well(jobs)
        uncharged(jobs)
        times = [call.time for call in look_ups(daemon.sandbox)]
        [refused] = [call.time for call in look_ups(daemon.sandbox) if call.status == 429]
        under_way = [at for at in times if refused < at < refused + 0.9]
        assert len(under_way) <= 4, "only what was on its way already"
        assert any("throttled" in events_of(job) for job in jobs)


async def test_a_key_that_expires_burns_no_lead(tmp_path: Path) -> None:
    """401 with 50 leads queued: five calls at most find out, everybody waits, all end well with the new key."""
    async with serving(tmp_path) as daemon:
        sandbox = daemon.sandbox
        key, sandbox.rea.api_key = sandbox.rea.api_key, "rotated"
        ids = await tell_all(daemon, 50)
        await until(daemon.paused, "paused")
        await until(lambda: free_probes(daemon) >= 3, "the key tried out again")  # by a call that costs nothing
        refused = [call for call in look_ups(sandbox) if call.status == 401]
        assert 1 <= len(refused) <= 5
        jobs = list((await daemon.jobs()).values())
        assert {(job["state"], job["attempts_made"]) for job in jobs} == {("QUEUED", 0)}
        assert "auth" in (await daemon.paused())["realestateapi"]
        assert (await daemon.get("/readyz"))[0] == 200

        sandbox.rea.api_key = key
        jobs = await daemon.ended(ids, within_s=30)
        ended_well(jobs)
        uncharged(jobs)
        assert set(sandbox.rea.paid.values()) == {1}
        assert daemon.said("provider_paused")
        assert daemon.said("provider_resumed")


def free_probes(daemon: Inside) -> int:
    return sum(call.path == "/v2/key/info" and call.status == 401 for call in daemon.sandbox.rea.calls)


async def test_without_credit_everybody_waits_for_a_person(tmp_path: Path) -> None:
    """A paid call would be the only proof that there is credit again: none is made until somebody says so."""
    async with serving(tmp_path) as daemon:
        sandbox = daemon.sandbox
        sandbox.faults.add(Fault("out_of_credit"), times=None, match=LOOK_UP)
        ids = await tell_all(daemon, 20)
        assert "credit" in (await until(daemon.paused, "paused"))["realestateapi"]
        await until(lambda: none_runs(daemon), "everybody waits")
        asked = len(look_ups(sandbox))
        assert asked <= 5
        assert sandbox.rea.paid.total() == 0
        sandbox.faults.clear()
        switches = Switches(daemon.running.connection, daemon.running.queue.keys)
        assert await switches.resume_provider("realestateapi", why="a person said so")
        jobs = await daemon.ended(ids)
        ended_well(jobs)
        uncharged(jobs)


async def none_runs(daemon: Inside) -> bool:
    return {job["state"] for job in (await daemon.jobs()).values()} == {"QUEUED"}


async def test_one_locations_bad_token_stops_only_that_location(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    with running(tmp_path / "redis") as redis:
        async with new_sandbox() as sandbox:
            other = sandbox.ghl.add_location("LocationTwo", "pit-two")
            for field in sandbox.ghl.locations[sandbox.location_id].fields.values():
                other.add_field(field.name, field.data_type)
            settings = settings_for(sandbox, redis.url)
            other.token = "revoked"
            async with inside(sandbox, tmp_path, settings, probe_s=PROBE_S) as daemon:
                stuck = await tell_all(daemon, 6, start=10, location="LocationTwo")
                fine = await tell_all(daemon, 6)
                ended_well(await daemon.ended(fine))
                assert (await until(daemon.paused, "paused")).keys() == {"ghl:LocationTwo"}
                jobs = [await daemon.job(job_id) for job_id in stuck]
                assert not {job["state"] for job in jobs} & ENDED
                assert {job["attempts_made"] for job in jobs} <= {0, 1}

                other.token = "pit-two"
                jobs = await daemon.ended(stuck)
                ended_well(jobs)
                uncharged(jobs)
                assert set(sandbox.rea.paid.values()) == {1}
                assert await daemon.paused() == {}


async def test_an_outage_is_the_vendors_and_no_leads(tmp_path: Path) -> None:
    """Five leads fail in a row: the vendor is out for all, one probe at a time asks, and nobody pays for it."""
    async with serving(tmp_path) as daemon:
        sandbox = daemon.sandbox
        sandbox.faults.add(Fault("bad_gateway"), times=None, match=LOOK_UP)
        ids = await tell_all(daemon, 30)
        assert "outage" in (await until(daemon.paused, "paused"))["realestateapi"]
        detected = len(look_ups(sandbox))
        await until(lambda: len(look_ups(sandbox)) >= detected + 3, "three probes")
        probes = [call.time for call in look_ups(sandbox)[-3:]]
        assert all(later - earlier >= PROBE_S * 0.9 for earlier, later in pairwise(probes))
        jobs = [await daemon.job(job_id) for job_id in ids]
        assert JobState.FAILED_FINAL not in {job["state"] for job in jobs}
        assert sum(job["attempts_made"] for job in jobs if job["state"] != "PROCESSING") <= 4

        sandbox.faults.clear()
        jobs = await daemon.ended(ids)
        ended_well(jobs)
        assert max(job["attempts_made"] for job in jobs) <= 2, "nobody is charged beyond its first failure"
        assert await daemon.paused() == {}
        assert len(daemon.said("provider_paused")) == 1


async def test_one_bad_lead_is_its_own_fault(tmp_path: Path) -> None:
    async with serving(tmp_path) as daemon:
        sandbox = daemon.sandbox
        sandbox.faults.add(Fault("server_error"), times=None, match=Match(address="BROKEN"))
        [bad_id] = await tell_all(daemon, 1, start=90, street="Broken Ave")
        ids = await tell_all(daemon, 20)
        [bad, *good] = await daemon.ended([bad_id, *ids])
        ended_well(good)
        uncharged(good)
        assert (bad["state"], bad["reason"], bad["attempts_made"]) == ("FAILED_FINAL", "attempts_exhausted", 3)
        assert sum("BROKEN" in call.address_key for call in look_ups(sandbox)) == 3
        assert sandbox.ghl.values(bad["contact_id"])["enrichment_status"] == "FAILED"
        assert await daemon.paused() == {}


async def test_writes_to_highlevel_fail_and_are_made_once(tmp_path: Path) -> None:
    """A lost answer is compared before it is repeated; a refused write is tried again; the record is bought once."""
    async with serving(tmp_path) as daemon:
        sandbox = daemon.sandbox
        put, tags = Match(provider="ghl", method="PUT"), Match(provider="ghl", method="POST", path="/tags")
        for number, (fault, match, calls, effects) in enumerate(
            [
                (Fault("lost_answer"), put, {"PUT": 1, "POST": 1}, 2),
                (Fault("server_error"), put, {"PUT": 2, "POST": 1}, 2),
                (Fault("lost_answer"), tags, {"PUT": 1, "POST": 1}, 2),
                (Fault("throttle", retry_after=1), tags, {"PUT": 1, "POST": 2}, 2),
            ]
        ):
            sandbox.faults.add(fault, match=match)
            [job] = await daemon.ended(await tell_all(daemon, 1, start=number))
            ended_well([job])
            made = Counter(
                call.method
                for call in sandbox.ghl.calls
                if call.contact_id == job["contact_id"] and call.method != "GET"
            )
            assert made == calls, fault
            assert sandbox.ghl.writes[job["contact_id"]] == effects
            assert job["attempts_made"] == (1 if fault.kind == "throttle" else 2)
        assert set(sandbox.rea.paid.values()) == {1}
