"""Live events: who hears what, who may, and what becomes of those who do not keep up."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from queue_desk import Desk
from store_office import office_store

from leadenrich.config import Secret
from leadenrich.store.errors import StoreUnavailable
from leadenrich.store.feed import Feed
from leadenrich.web.app import reconfigure

Web = Any
VIEWER = {"Authorization": "Bearer the-viewer-token"}


@dataclass
class Studio:
    web: Web
    desk: Desk
    feed: Feed

    @asynccontextmanager
    async def listening(self, query: str = "", **headers: str) -> AsyncIterator[Reader]:
        url = self.web.server.url + "/api/v1/events" + query
        async with self.web.session.get(url, headers=VIEWER | headers) as response:
            assert response.status == 200, await response.text()
            assert response.content_type == "text/event-stream"
            yield Reader(response)


class Reader:
    """Reads one event after the other."""

    def __init__(self, response: Any) -> None:
        self.response = response
        self.comments = 0

    async def next(self, within_s: float = 5.0) -> dict[str, Any]:
        """The event: its id, its name, and its data's members. Raises: EOFError."""
        async with asyncio.timeout(within_s):
            while True:
                block = await self.response.content.readuntil(b"\n\n")
                if not block:
                    raise EOFError
                told = dict(line.split(": ", 1) for line in block.decode().splitlines() if line and line[0] != ":")
                self.comments += block.startswith(b":")
                if "data" in told:
                    return {**json.loads(told["data"]), "id": told["id"], "name": told["event"]}

    async def some(self, count: int) -> list[dict[str, Any]]:
        return [await self.next() for _ in range(count)]


@pytest.fixture
async def studio(start_web: Any) -> AsyncIterator[Studio]:
    async with office_store() as (desk, _, feed), start_web(feed=feed) as web:
        yield Studio(web, desk, feed)


async def listeners(studio: Studio, count: int, wait_until: Any) -> None:
    await wait_until(lambda: len(studio.feed._listeners) == count, what=f"{count} listeners")


async def test_what_happens_is_told_while_it_happens(studio: Studio, wait_until: Any) -> None:
    await studio.desk.new("before")
    async with studio.listening() as reader:
        await listeners(studio, 1, wait_until)
        job_id = await studio.desk.new("c1")
        [_, claim] = await studio.desk.claim(2)
        await studio.desk.bury(claim)
        told = await reader.some(4)
    assert [event["name"] for event in told] == ["queued", "started", "started", "failed"]
    assert told[0] | {"id": "", "time": ""} == {
        "id": "", "name": "queued", "event": "queued", "time": "", "job_id": job_id, "contact_id": "c1",
        "location_id": "loc1", "lane": "live", "attempt": 0,
    }  # fmt: skip
    assert (told[3]["reason"], told[3]["error"]) == ("internal_error", "no")
    assert "trace" not in told[3]


async def test_pauses_are_told_too(studio: Studio, wait_until: Any) -> None:
    from leadenrich.store.switches import Switches

    async with studio.listening() as reader:
        await listeners(studio, 1, wait_until)
        await Switches(studio.desk.connection, studio.desk.keys).pause_provider("realestateapi", "credit", "402")
        told = await reader.next()
    assert (told["name"], told["provider"], told["kind"]) == ("provider_paused", "realestateapi", "credit")
    assert "job_id" not in told


async def test_a_reader_resumes_behind_the_last_that_came(studio: Studio, wait_until: Any) -> None:
    """Not one is missing, not one comes twice: also those that came between, and those of one call of a script."""
    for number in range(300):
        await studio.desk.new(f"c{number}")
    await studio.desk.claim(20)  # one call: many events an entry
    async with studio.listening("?since=0-0") as reader:
        known = await reader.some(305)
    async with studio.listening(**{"Last-Event-ID": known[303]["id"]}) as reader:
        assert (await reader.next())["id"] == known[304]["id"]
        await studio.desk.new("later")
        rest = await reader.some(16)
    ids = [event["id"] for event in [*known, *rest]]
    assert len(set(ids)) == 321
    assert [event["name"] for event in [*known, *rest]] == ["queued"] * 300 + ["started"] * 20 + ["queued"]


async def test_a_reader_may_begin_at_a_time(studio: Studio) -> None:
    await studio.desk.new()
    for since in ("2020-01-01T00:00:00Z", "2020-01-01T02:00:00%2B02:00", "0-0", "0001-01-01T00:00:00Z"):
        async with studio.listening(f"?since={since}") as reader:
            assert (await reader.next())["name"] == "queued"


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("?since=yesterday", {}),
        ("?since=2026-11-24T15:00:00", {}),
        ("?since=1-", {}),
        ("?from=0-0", {}),
        ("?since=yesterday", {"Last-Event-ID": "0-0"}),
        ("", {"Last-Event-ID": "x"}),
        ("?since=0-0", {"Last-Event-ID": "2020-01-01T00:00:00Z"}),
    ],
)
async def test_a_beginning_that_means_nothing_is_refused(studio: Studio, query: str, headers: dict[str, str]) -> None:
    response, answer = await studio.web.call("GET", f"/api/v1/events{query}", headers=VIEWER | headers)
    assert (response.status, answer["status"]) == (400, 400)


async def test_nobody_listens_without_a_token(studio: Studio) -> None:
    assert (await studio.web.call("GET", "/api/v1/events"))[0].status == 401
    assert (await studio.web.call("HEAD", "/api/v1/events", headers=VIEWER))[0].status == 405


async def test_many_listen_to_one_reader_of_redis_and_nobody_costs_nothing(studio: Studio, wait_until: Any) -> None:
    reads = 0
    execute = studio.desk.connection.execute

    async def counted(*command: Any) -> Any:
        nonlocal reads
        reads += command[0] == "XREAD"
        return await execute(*command)

    studio.desk.connection.execute = counted  # type: ignore[method-assign]
    began = time.monotonic()
    async with studio.listening() as first, studio.listening() as second, studio.listening() as third:
        await listeners(studio, 3, wait_until)
        job_id = await studio.desk.new()
        assert [(await reader.next())["job_id"] for reader in (first, second, third)] == [job_id] * 3
    assert reads <= 3 + (time.monotonic() - began) * 2 / 0.2  # however many listen
    # Who hung up is noticed although nothing happens.
    await listeners(studio, 0, wait_until)
    await wait_until(lambda: studio.feed._reader is not None and studio.feed._reader.done(), what="the reader rests")


async def test_there_are_only_so_many_listeners(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leadenrich.store.feed.LISTENERS_MAX", 2)
    async with studio.listening(), studio.listening():
        response, answer = await studio.web.call("GET", "/api/v1/events", headers=VIEWER)
        assert (response.status, answer["status"]) == (503, 503)
        assert response.headers["Retry-After"]


async def test_who_does_not_read_is_cut_off_and_no_other(
    studio: Studio, wait_until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leadenrich.store.feed.BUFFER", 20)
    monkeypatch.setattr("leadenrich.store.feed.LOOK_S", 0.01)
    _, writer = await asyncio.open_connection(*studio.web.server.address, limit=1024)
    writer.write(b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer the-viewer-token\r\n\r\n")
    async with studio.listening() as reader:
        await listeners(studio, 2, wait_until)
        for _ in range(20):  # large ones: they fill the buffers of the connection that nobody reads
            for number in range(5):
                await add(studio, number, "x" * 500_000)
            await reader.some(5)
            if len(studio.feed._listeners) == 1:
                break
        await listeners(studio, 1, wait_until)
        await add(studio, 99, "the other one hears on")
        assert (await reader.next())["error"] == "the other one hears on"
    writer.close()


async def add(studio: Studio, number: int, error: str) -> None:
    """An event, as the scripts write it."""
    told = "\t".join(["failed", f"j{number}", "c", "l", "live", "1", json.dumps({"error": error})])
    await studio.desk.connection.execute("XADD", studio.desk.keys.events, "MAXLEN", "~", 50, "*", "0", told)


async def test_a_silent_stream_beats(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leadenrich.web.events.HEARTBEAT_S", 0.02)
    async with studio.listening() as reader:
        with pytest.raises(TimeoutError):
            await reader.next(0.2)
        assert reader.comments >= 3


async def test_a_stop_ends_every_stream_at_once(studio: Studio, wait_until: Any) -> None:
    async with studio.listening() as first, studio.listening() as second:
        await listeners(studio, 2, wait_until)
        began = time.monotonic()
        await studio.web.server.stop()
        assert time.monotonic() - began < 1.0
        for reader in (first, second):
            with pytest.raises((EOFError, asyncio.IncompleteReadError)):
                await reader.next()


async def test_new_tokens_end_the_streams_of_the_old_ones(studio: Studio, wait_until: Any) -> None:
    parts = studio.web.parts
    async with studio.listening() as reader:
        await listeners(studio, 1, wait_until)
        from msgspec.structs import replace

        reconfigure(studio.web.app, replace(parts.server, viewer_token=Secret("another")), parts.ghl, parts.queue)
        with pytest.raises((EOFError, asyncio.IncompleteReadError)):
            await reader.next()
    assert (await studio.web.call("GET", "/api/v1/events", headers=VIEWER))[0].status == 401


async def test_while_redis_is_away_streams_stay_and_nothing_is_lost(
    studio: Studio, wait_until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leadenrich.store.feed.RETRY_S", 0.02)
    execute, is_away, asked = studio.desk.connection.execute, True, 0

    async def away(*command: Any) -> Any:
        nonlocal asked
        if command[0] == "XREAD" and is_away:
            asked += 1
            raise StoreUnavailable("gone")
        return await execute(*command)

    async with studio.listening() as reader:
        await listeners(studio, 1, wait_until)
        studio.desk.connection.execute = away  # type: ignore[method-assign]
        await wait_until(lambda: asked >= 2, what="two looks in vain")
        job_id = await studio.desk.new()
        is_away = False
        assert (await reader.next())["job_id"] == job_id
    studio.desk.connection.execute = execute  # type: ignore[method-assign]


async def test_without_redis_no_stream_begins(studio: Studio) -> None:
    async def gone(*command: Any) -> Any:
        raise StoreUnavailable("gone")

    studio.desk.connection.execute = gone  # type: ignore[method-assign]
    response, _ = await studio.web.call("GET", "/api/v1/events", headers=VIEWER)
    assert response.status == 503
