"""The search: by what people remember, over all kept jobs, the newest first, in a bounded time."""

from __future__ import annotations

import asyncio

import pytest
from leads import lead
from queue_desk import Desk

from leadenrich.core.job import Lane
from leadenrich.core.lead import Lead, PostalAddress
from leadenrich.store.lead_texts import LeadTexts, searchable
from leadenrich.store.search import HITS_MAX, Search
from leadenrich.store.text_filter import Question

PAT = Lead(
    location_id="L",
    contact_id="C0ntact",
    kind="create",
    first_name="Zoë",
    last_name="O'Hara-Smith",
    email="Zoe.OHara@Example.com",
    phone="+12175550123",
    address=PostalAddress("100 N Maple St", "Springfield", "IL", "62704"),
)


@pytest.mark.parametrize(
    "asked",
    [
        "2175550123", "+1 (217) 555-0123", "1-217-555-0123", "217.555.0123", "001 217 555 0123", "217 555 0123 x45",
        "5550123", "0123",
        "zoe.ohara@example.com", "OHARA@EXAMPLE",
        "zoe", "Zoë O'Hara", "smith zoe", "ohara@", "o’hara",
        "100 maple", "100 North Maple Street", "100 n. maple st, springfield, il 62704", "MAPLE ST", "62704", "c0nt",
    ],
)  # fmt: skip
def test_a_lead_is_found_by_what_people_remember(asked: str) -> None:
    assert Question(asked).fits(searchable(PAT))


@pytest.mark.parametrize(
    "asked",
    [
        "2175550124",
        "555012",
        "+44 20 7946 0123",
        "zoe@example.org",
        "joe",
        "10 maple",
        "maple ave",
        "6270",
        "aple",
        "",
        "-",
    ],
)
def test_what_does_not_fit_is_not_found(asked: str) -> None:
    assert not Question(asked).fits(searchable(PAT))


@pytest.fixture
def search(desk: Desk) -> Search:
    return Search(desk.connection, desk.keys, locations=lambda: [lead().location_id])


async def test_jobs_are_found_wherever_they_are_the_newest_first(desk: Desk, search: Search) -> None:
    ended = [await desk.new("c1", first_name="Ada"), await desk.new("c2", first_name="Ada")]
    await desk.complete(await desk.one())
    await desk.bury(await desk.one())
    later = [await desk.new("c3", first_name="Ada")]
    await desk.retry(await desk.one())
    at_work = [await desk.new("c4", first_name="Ada")]
    await desk.one()
    waits = [await desk.new("c5", first_name="Ada", lane=lane) for lane in (Lane.LIVE,)]
    waits += [await desk.new("c6", first_name="Ada", lane=Lane.BULK), await desk.new("c7", first_name="Bob")]
    found = await search.find("ada")
    assert [job.id for job in found.jobs] == sorted([*ended, *later, *at_work, *waits[:2]], reverse=True)
    assert (found.looked_at, found.older) == (7, "")
    assert (await search.find("carol")).jobs == []


async def test_many_findings_come_part_by_part(desk: Desk, search: Search) -> None:
    ids = [await desk.new(f"c{number}", first_name="Ada") for number in range(HITS_MAX + 5)]
    ids.sort()  # within a millisecond they come in any order
    first = await search.find("ada")
    assert [job.id for job in first.jobs] == ids[:4:-1]
    rest = await search.find("ada", before=first.older)
    assert [job.id for job in rest.jobs] == ids[4::-1]
    assert rest.older == ""


async def test_a_search_ends_in_time_and_goes_on_from_there(desk: Desk) -> None:
    """With no time at all it looks at one part, and says where it stopped."""
    ids = [await desk.new(f"c{number}", first_name="Ada" if number == 0 else "Bob") for number in range(230)]
    hasty = Search(desk.connection, desk.keys, seconds=0.0)
    looked_at, before, found = 0, "", []
    for _ in range(3):
        part = await hasty.find("ada", before=before)
        looked_at, before, found = looked_at + part.looked_at, part.older, [job.id for job in part.jobs]
    assert (looked_at, before, found) == (230, "", ids[:1])


async def test_an_id_leads_straight_to_its_job(desk: Desk, search: Search) -> None:
    first = await desk.new("c1")
    await desk.complete(await desk.one())
    last = await desk.new("c1", "1 Other St")
    assert await search.exact(first) == first
    assert await search.exact("c1") == last
    for other in ("c2", "", "no such", "x" * 500, "*", "c1\n"):
        assert await search.exact(other) is None


async def test_a_job_whose_lead_is_kept_no_longer_is_still_found_by_its_ids(desk: Desk, search: Search) -> None:
    job_id = await desk.new("c1", first_name="Ada")
    await desk.connection.execute("DEL", desk.keys.load(job_id))
    assert (await search.find("ada")).jobs == []
    assert await search.exact("c1") == job_id


async def test_what_was_read_is_not_read_again_and_what_changed_is(desk: Desk, search: Search) -> None:
    """A job that is told something else when it runs once more is found by the new name only."""
    first, dead = await desk.new("c1", first_name="Ada"), await desk.new("c2", first_name="Ada")
    await desk.complete(await desk.one())
    await desk.bury(await desk.one())
    now = await desk.time_ms()
    while await desk.time_ms() == now:
        pass  # to the next millisecond
    last = [await desk.new("c3", first_name="Ada"), await desk.new("c4", first_name="Ada")]
    await desk.complete(await desk.one())  # the newest end of each kind is read again each time
    await desk.bury(await desk.one())
    assert {job.id for job in (await search.find("ada")).jobs} == {first, dead, *last}
    await desk.connection.execute("DEL", desk.keys.load(first))
    assert first in [job.id for job in (await search.find("ada")).jobs], "it was remembered"

    await desk.queue.revive(dead, by="operator")
    told = await desk.submit("c2", "1 Other St", kind="update", first_name="Bea")
    assert told.job_id == dead, "it waits, and is told something newer"
    assert [job.id for job in (await search.find("bea")).jobs] == [dead]
    await desk.bury(await desk.one())
    assert [job.id for job in (await search.find("bea")).jobs] == [dead]
    assert dead not in [job.id for job in (await search.find("ada")).jobs]


async def test_what_was_read_is_forgotten_in_time(desk: Desk) -> None:
    texts = LeadTexts(desk.connection, desk.keys, remember_s=0.0)
    job_id = (await desk.new("c1", first_name="Ada")).encode()
    await desk.complete(await desk.one())
    assert "ada" in (await texts.of([job_id], moving=()))[0]
    await asyncio.sleep(0)  # the timer of no seconds comes round
    await desk.connection.execute("DEL", desk.keys.load(job_id.decode()))
    assert await texts.of([job_id], moving=()) == [""]


async def test_only_leads_that_are_kept_count_as_looked_at(desk: Desk, search: Search) -> None:
    """What was cancelled and pushed out by others leaves its id in its lane until a worker comes by."""
    ids = [await desk.new(f"c{number}", first_name="Ada") for number in range(3)]
    await desk.connection.execute("DEL", desk.keys.load(ids[0]), desk.keys.job(ids[0]))
    found = await search.find("bob")
    assert (found.jobs, found.looked_at, found.older) == ([], 2, "")
