"""Which contact had an address first, and what a contact was last seen with."""

from __future__ import annotations

import pytest
from queue_desk import Desk

from leadenrich.core.lead import fingerprint
from leadenrich.store.schema import sighting_key
from leadenrich.store.sightings import CONTACTS_KEPT, Sightings

DAY = 86_400.0
ADDRESS = "742|EVERGREEN TER||62704"


@pytest.fixture
def sightings(desk: Desk) -> Sightings:
    return Sightings(desk.connection, desk.keys)


async def test_only_the_later_contact_is_the_duplicate(sightings: Sightings) -> None:
    assert not await sightings.seen_elsewhere("loc1", ADDRESS, "first", DAY)
    assert await sightings.seen_elsewhere("loc1", ADDRESS, "second", DAY)
    assert not await sightings.seen_elsewhere("loc1", ADDRESS, "first", DAY)  # a job that runs again
    assert await sightings.seen_elsewhere("loc1", ADDRESS, "second", DAY)


async def test_another_location_or_address_is_no_duplicate(sightings: Sightings) -> None:
    await sightings.seen_elsewhere("loc1", ADDRESS, "first", DAY)
    assert not await sightings.seen_elsewhere("loc2", ADDRESS, "second", DAY)
    assert not await sightings.seen_elsewhere("loc1", "744|EVERGREEN TER||62704", "second", DAY)


async def test_what_was_seen_too_long_ago_counts_no_more(sightings: Sightings, desk: Desk) -> None:
    await sightings.seen_elsewhere("loc1", ADDRESS, "first", DAY)
    key = sighting_key("loc1", ADDRESS)
    await desk.connection.execute("ZADD", key, await desk.time_ms() - round(2 * DAY * 1000), "first")
    assert not await sightings.seen_elsewhere("loc1", ADDRESS, "second", DAY)
    assert await sightings.seen_elsewhere("loc1", ADDRESS, "third", DAY)


async def test_what_is_remembered_is_bounded_by_number_and_time(sightings: Sightings, desk: Desk) -> None:
    for number in range(CONTACTS_KEPT + 10):
        await sightings.seen_elsewhere("loc1", ADDRESS, f"c{number:02}", DAY)
    key = sighting_key("loc1", ADDRESS)
    assert await desk.connection.execute("ZCARD", key) == CONTACTS_KEPT
    assert 0 < await desk.connection.execute("PTTL", key) <= DAY * 1000
    assert await sightings.seen_elsewhere("loc1", ADDRESS, "one more", DAY)


async def test_the_address_that_a_contact_was_read_with_is_what_its_update_is_compared_with(
    sightings: Sightings, desk: Desk
) -> None:
    """An opportunity tells no address; the echo of our own write must not pass for a new one."""
    from leads import lead

    await desk.new(kind="opportunity", street="")
    await desk.complete(await desk.one())
    await sightings.note_address("loc1", "c1", fingerprint(lead().address))
    assert (await desk.submit(kind="update")).why == "address unchanged"
    await sightings.note_address("loc1", "c1", "another|one")  # an event's own word stands
    assert (await desk.submit(kind="update")).why == "address unchanged"
    assert await desk.connection.execute("PTTL", desk.keys.seen("loc1", "c1")) > 0


async def test_no_address_is_not_noted(sightings: Sightings, desk: Desk) -> None:
    await sightings.note_address("loc1", "c1", "")
    assert await desk.connection.execute("EXISTS", desk.keys.seen("loc1", "c1")) == 0
