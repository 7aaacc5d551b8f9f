"""A person leaves: after it nothing in Redis names the contact, and nobody else misses anything."""

from __future__ import annotations

from typing import Any

import pytest
from queue_desk import Desk

from leadenrich.core.address import normalise
from leadenrich.core.job import Lane
from leadenrich.core.lead import PostalAddress
from leadenrich.store.audit import Actor, Audit
from leadenrich.store.connection import Connection
from leadenrich.store.erasure import AtWork, Erasure
from leadenrich.store.payload import unpack
from leadenrich.store.schema import SEEN_MS, property_keys
from leadenrich.store.sightings import Sightings
from leadenrich.store.switches import Switches

CANARY = "CanaryContact00001"
WORDS = (CANARY, "Carla Canary", "carla@example.org", "12 Canary Ln")
READ = PostalAddress("99 Found Ave", "Springfield", "IL", "62704")
PERSON: dict[str, Any] = {"name": "Carla Canary", "email": "carla@example.org", "phone": "+12175550199"}
STREETS = ("12 Canary Ln", "742 Evergreen Ter")


@pytest.fixture
def erasure(desk: Desk) -> Erasure:
    return Erasure(desk.connection, desk.keys)


async def everything(connection: Connection) -> str:
    """Every key and every value, packed ones unpacked."""
    told = []
    for key in sorted(await connection.execute("KEYS", "*")):
        kind = await connection.execute("TYPE", key)
        read: dict[bytes, tuple[Any, ...]] = {
            b"hash": ("HGETALL",), b"list": ("LRANGE", 0, -1), b"zset": ("ZRANGE", 0, -1),
            b"stream": ("XRANGE", "-", "+"),
        }  # fmt: skip
        command, *rest = read.get(kind, ("GET",))
        value = await connection.execute(command, key, *rest)
        if b":load:" in key:
            value = repr(unpack(value))
        told.append(f"{key.decode()} {value!r}")
    return "\n".join(told)


def named(text: str) -> list[str]:
    return [line for line in text.splitlines() if any(word.casefold() in line.casefold() for word in WORDS)]


def at(street: str) -> PostalAddress:
    return PostalAddress(street, "Springfield", "IL", "62704")


async def bought(desk: Desk, *addresses: PostalAddress) -> list[str]:
    names = [property_keys("realestateapi", normalise(address).key)[0] for address in addresses]
    for name in names:
        await desk.connection.execute("SET", name, "packed: Carla Canary")
    return names


async def a_whole_life(desk: Desk) -> None:
    """A job at each end, one that waits, one behind it; seen, bought, acted on, paused about."""
    sightings = Sightings(desk.connection, desk.keys)
    for contact in ("other1", CANARY, "other2"):
        await desk.new(contact, **(PERSON if contact == CANARY else {}))
        await desk.complete(await desk.one())
    await desk.new(CANARY, "12 Canary Ln", kind="update", event_ms=1_800_000_000_000, key="a-delivery", **PERSON)
    failed = await desk.one()
    await desk.queue.checkpoint(failed, "address", result=b'{"key": "%s"}' % normalise(READ).key.encode())
    await desk.bury(failed)
    await desk.new(CANARY, "14 Canary Ln", kind="update", event_ms=1_800_000_000_001, lane=Lane.BULK, **PERSON)
    for street in STREETS:
        await sightings.seen_elsewhere("loc1", normalise(at(street)).key, CANARY, 1000)
        await sightings.seen_elsewhere("loc1", normalise(at(street)).key, "other1", 1000)
    audit = Audit(desk.connection, desk.keys)
    await audit.keep(Actor("cli", "ada"), "retry", f"job:{failed.job_id}")
    await audit.keep(Actor("cli", "ada"), "cancel", "jobs", detail=f'{{"contact":"{CANARY}"}}')
    await audit.keep(Actor("cli", "ada"), "cancel", "jobs", detail='{"q":"carla canary"}')
    await audit.keep(Actor("cli", "ada"), "pause", "queue", detail="lunch")
    await bought(desk, READ, *map(at, STREETS))


async def test_nothing_in_redis_names_the_contact_any_more(desk: Desk, erasure: Erasure) -> None:
    await a_whole_life(desk)
    assert len(named(await everything(desk.connection))) > 10
    erased = await erasure.erase(CANARY, ["loc1"], None)
    assert named(await everything(desk.connection)) == []
    assert (erased.jobs, erased.contacts, erased.sightings, erased.records) == (3, 1, 2, 3)
    assert (erased.actions, erased.events > 0, erased.searched, erased.pauses) == (2, True, True, [])


async def test_nobody_else_misses_anything(desk: Desk, erasure: Erasure) -> None:
    await a_whole_life(desk)
    others = [job.id for contact in ("other1", "other2") for job in await erasure.jobs(contact, None)]
    before = await desk.views.stats()
    await erasure.erase(CANARY, ["loc1"], None)
    assert [(await desk.job(job_id)).state for job_id in others] == ["SUCCEEDED"] * 2
    after = await desk.views.stats()
    assert after.totals == before.totals
    assert {lane: sum(counts.values()) for lane, counts in after.lanes.items()} == {"live": 2, "bulk": 0}
    assert after.oldest_waiting_seconds is None
    audit = (await Audit(desk.connection, desk.keys).read()).entries
    assert [(entry.action, entry.target.partition(":")[0]) for entry in audit] == [("pause", "queue"), ("retry", "job")]
    assert await Sightings(desk.connection, desk.keys).seen_elsewhere(
        "loc1", normalise(at(STREETS[0])).key, "other2", 1000
    ), "other1 had that address"
    assert (await desk.submit("other1")).verb == "duplicate"


async def test_while_it_is_worked_on_nothing_is_removed(desk: Desk, erasure: Erasure) -> None:
    await a_whole_life(desk)
    claim = await desk.one()
    assert claim.contact_id == CANARY
    before = await desk.dump()
    with pytest.raises(AtWork, match=claim.job_id):
        await erasure.erase(CANARY, ["loc1"], None)
    assert await desk.dump() == before
    await desk.complete(claim)
    assert (await erasure.erase(CANARY, ["loc1"], None)).jobs == 3


async def test_a_job_that_is_taken_in_the_middle_saves_them_all(desk: Desk, erasure: Erasure) -> None:
    """Between the look and the deed a worker may come."""
    await a_whole_life(desk)
    look = erasure.jobs

    async def look_too_early(contact_id: str, location_id: str | None) -> Any:
        jobs = await look(contact_id, location_id)
        await desk.one()
        return jobs

    erasure.jobs = look_too_early  # type: ignore[method-assign]  # somebody comes in between
    with pytest.raises(AtWork):
        await erasure.erase(CANARY, ["loc1"], None)
    assert len(await look(CANARY, None)) == 3


async def test_what_is_sent_again_does_not_bring_the_person_back(desk: Desk, erasure: Erasure) -> None:
    await desk.new(CANARY, key="a-delivery")
    await erasure.erase(CANARY, ["loc1"], None)
    assert (await desk.submit(CANARY, key="a-delivery")).verb == "duplicate"
    assert (await desk.submit(CANARY, "5 New St", kind="update", event_ms=9)).why == "contact never seen"
    assert (await desk.submit(CANARY, "5 New St")).verb == "queued", "who comes anew is a new lead"


async def test_an_import_brings_an_erased_contact_anew_and_once(desk: Desk, erasure: Erasure) -> None:
    """The mark of the row still stands, and points to the job that was erased."""
    row: dict[str, Any] = {"key": "import:a-file row 1", "kind": "import", "lane": Lane.BULK}
    other: dict[str, Any] = {**row, "key": "import:a-file row 2"}
    before, kept = await desk.new(CANARY, **row), await desk.new("other1", **other)
    assert (await desk.submit(CANARY, **row)).job_id == before
    await erasure.erase(CANARY, ["loc1"], None)
    anew = await desk.new(CANARY, **row)
    assert anew != before
    assert [(await desk.submit(contact, **told)).job_id for contact, told in ((CANARY, row), ("other1", other))] == [
        anew, kept
    ]  # fmt: skip
    # Nor does a job that is simply not kept any more count as erased, before or after.
    await desk.connection.execute("DEL", desk.keys.job(anew), desk.keys.job(kept))
    assert (await desk.submit(CANARY, **row)).job_id == anew
    assert (await desk.submit("other1", **other)).job_id == kept
    assert 0 < await desk.connection.execute("PTTL", await erased_mark(desk)) <= SEEN_MS


async def test_of_whom_nothing_was_kept_no_mark_is_left(desk: Desk, erasure: Erasure) -> None:
    assert (await erasure.erase(CANARY, ["loc1"], None)).nothing
    assert await desk.connection.execute("KEYS", "*erased*") == []
    await desk.new(CANARY)
    assert not (await erasure.erase(CANARY, ["loc1"], None)).nothing
    assert CANARY not in await erased_mark(desk)


async def erased_mark(desk: Desk) -> str:
    [name] = await desk.connection.execute("KEYS", "*erased*")
    return str(name.decode())


async def test_of_one_location_only(desk: Desk, erasure: Erasure) -> None:
    for place in ("loc1", "loc2"):
        await desk.new(CANARY, location_id=place)
    assert (await erasure.erase(CANARY, ["loc1"], "loc1")).jobs == 1
    [left] = await erasure.jobs(CANARY, None)
    assert left.location_id == "loc2"


async def test_a_lead_without_a_job_or_an_address_is_found_too(desk: Desk, erasure: Erasure) -> None:
    """An address that was only read stands nowhere but in the sightings."""
    await Sightings(desk.connection, desk.keys).seen_elsewhere("loc1", normalise(READ).key, CANARY, 1000)
    [record] = await bought(desk, READ)
    await Sightings(desk.connection, desk.keys).note_address("loc1", CANARY, "a|b|c|d")
    erased = await erasure.erase(CANARY, ["loc1"], None)
    assert (erased.jobs, erased.contacts, erased.sightings, erased.records) == (0, 1, 1, 1)
    assert not await desk.connection.execute("EXISTS", record)
    assert named(await everything(desk.connection)) == []


async def test_a_pause_that_names_it_is_told(desk: Desk, erasure: Erasure) -> None:
    await Switches(desk.connection, desk.keys).pause_provider("ghl:loc1", "operator", f"{CANARY} complained")
    assert (await erasure.erase(CANARY, ["loc1"], None)).pauses == ["ghl:loc1"]


async def test_one_that_stands_behind_many_others_is_found(
    desk: Desk, erasure: Erasure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list is read part by part."""
    monkeypatch.setattr("leadenrich.store.job_list.SIFTED", 2)
    monkeypatch.setattr("leadenrich.store.job_list.SIFTED_MAX", 3)
    for contact in ("other1", CANARY, "other2", "other3", "other4"):
        await desk.new(contact)
    claims = await desk.claim(2)
    await desk.retry(claims[1])
    assert (await erasure.erase(CANARY, ["loc1"], None)).jobs == 1
    counts = (await desk.views.stats()).lanes["live"]
    assert (counts["QUEUED"], counts["PROCESSING"], counts["RETRY_SCHEDULED"]) == (3, 1, 0)
