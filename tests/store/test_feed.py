"""The events stream, live and again, and the audit log: on a real Redis and on the embedded one."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from queue_desk import Desk

from leadenrich.store.audit import Actor, Audit
from leadenrich.store.feed import BadEventId, Feed, Told


@pytest.fixture
async def feed(desk: Desk) -> Any:
    feed = Feed(desk.connection, desk.keys)
    yield feed
    await feed.close()


async def again(feed: Feed, event_id: str) -> list[Told]:
    async with feed.listen(lambda: None) as listener:
        return [it async for part in feed.since(event_id, listener.upto) for it in part]


async def test_a_listener_hears_what_is_new_and_nothing_else(desk: Desk, feed: Feed) -> None:
    await desk.new("before")
    async with feed.listen(lambda: None) as first:
        job_id = await desk.new("c1")
        told = await first.next(5.0)
        assert told is not None
        assert [(it.event, json.loads(it.data)["job_id"]) for it in told] == [("queued", job_id)]
        async with feed.listen(lambda: None) as second:
            await desk.claim(2)
            heard = {listener: [it.event for it in await listener.next(5.0) or []] for listener in (first, second)}
            assert list(heard.values()) == [["started", "started"]] * 2


async def test_what_is_known_is_told_again_from_any_event_on(desk: Desk, feed: Feed) -> None:
    """Also from the middle of those that one call of a script brought, over the borders of parts."""
    for number in range(250):
        await desk.new(f"c{number}")
    await desk.claim(20)
    whole = await again(feed, "0-0")
    assert [it.event for it in whole] == ["queued"] * 250 + ["started"] * 20
    for place in (0, 199, 200, 249, 253, 268, 269):
        assert await again(feed, whole[place].id) == whole[place + 1 :], place


STORM = {number: f"started\tj{number}\tc{number}\tloc\tlive\t1\t" for number in range(8)}


async def storm(desk: Desk, entries: int) -> None:
    """As many entries of the stream, of eight events each, as complete.lua writes them under load."""
    pipeline = desk.connection.pipeline()
    for _ in range(entries):
        pipeline.execute_command("XADD", desk.keys.events, "*", *(part for pair in STORM.items() for part in pair))
    await desk.connection.flush(pipeline)


async def test_a_storm_cuts_off_nobody_who_reads(desk: Desk, feed: Feed) -> None:
    """Whatever one look at Redis brings: a page that is cut off comes back into the same storm."""
    async with feed.listen(lambda: pytest.fail("cut off")) as listener:
        await storm(desk, 400)
        heard = 0
        while heard < 400 * 8:
            told = await listener.next(5.0)
            assert told
            heard += len(told)


async def test_who_does_not_read_in_a_storm_is_cut_off(desk: Desk, feed: Feed) -> None:
    dropped = asyncio.Event()
    async with feed.listen(dropped.set) as listener:
        await storm(desk, 800)
        async with asyncio.timeout(10):
            await dropped.wait()
        assert await listener.next(5.0) is None


async def test_without_events_there_is_nothing_to_tell(feed: Feed) -> None:
    assert await again(feed, "0-0") == []
    for nonsense in ("", "x", "1", "1-", "1-1.", "-1-1"):
        with pytest.raises(BadEventId):
            await again(feed, nonsense)


async def test_the_audit_log_is_read_backwards(desk: Desk) -> None:
    audit = Audit(desk.connection, desk.keys)
    for number in range(5):
        await audit.keep(Actor("cli", f"name{number}"), "pause", "queue", done=number, skipped=1, detail="ü")
    page = await audit.read(limit=3)
    rest = await audit.read(limit=3, cursor=page.next_cursor)
    assert [entry.name for entry in [*page.entries, *rest.entries]] == [f"name{number}" for number in (4, 3, 2, 1, 0)]
    assert (page.entries[0].done, page.entries[0].skipped, page.entries[0].detail) == (4, 1, "ü")
    assert rest.next_cursor is None
