"""Webhooks on the fast path: in their row with the connection's other requests, and answered as aiohttp's way does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from leadenrich.store.errors import StoreUnavailable
from leadenrich.store.queue import Receipt, Submission

Web = Any
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def hook(contact: str = "c1", token: str = "shared-secret-goes-here", *more: str, path: str = "workflow") -> bytes:
    body = json.dumps({"contact_id": contact}).encode()
    head = [f"POST /webhooks/ghl/{path} HTTP/1.1", "Host: x", "Content-Type: application/json",
            f"X-Webhook-Token: {token}", f"Content-Length: {len(body)}", *more]  # fmt: skip
    return "\r\n".join([*head, "", ""]).encode() + body


class SlowIntake:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers = asyncio.Event()
        self.came = asyncio.Event()

    async def submit(self, submission: Submission) -> Receipt:
        self.asked.append(submission.lead.contact_id)
        self.came.set()
        await self.answers.wait()
        return Receipt("queued", f"job-{submission.lead.contact_id}")


@asynccontextmanager
async def connected(web: Web) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(*web.server.address)
    try:
        yield reader, writer
    finally:
        writer.close()


async def answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], Any]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
    return int(head.split()[1]), headers, json.loads(await reader.readexactly(int(headers["Content-Length"])))


async def test_a_webhook_passes_aiohttp_s_handling_by(web: Web) -> None:
    async def none_may_come(_: Any) -> Any:
        raise AssertionError("went aiohttp's way")

    web.server._runner.server.request_handler = none_may_come
    async with connected(web) as (reader, writer):
        for _ in range(2):
            writer.write(hook())
            assert (await answer(reader))[0] == 202
    assert web.answers == [("/webhooks/ghl/workflow", 202)] * 2


async def test_all_kinds_of_requests_in_a_row_are_answered_in_their_order(web: Web) -> None:
    row = [hook("c1"), HEALTH, hook("c2"), hook("c3", "wrong"), hook("c4", path="nowhere"), hook("c5"), HEALTH, LAST]
    raw = await web.raw(b"".join(row))
    assert [int(part[:3]) for part in raw.split(b"HTTP/1.1 ")[1:]] == [202, 200, 202, 401, 404, 202, 200, 200]
    assert [submission.lead.contact_id for submission in web.intake.taken] == ["c1", "c2", "c5"]


async def test_a_request_waits_for_the_one_before(start_web: Any) -> None:
    intake = SlowIntake()
    async with start_web(intake=intake) as web, connected(web) as (reader, writer):
        writer.write(hook("c1") + hook("c2"))
        await intake.came.wait()
        writer.write(HEALTH)
        async with connected(web) as (other, other_writer):  # answered behind what the first connection has sent
            other_writer.write(HEALTH)
            assert (await answer(other))[0] == 200
        assert intake.asked == ["c1"]
        intake.answers.set()
        told = [await answer(reader) for _ in range(3)]
        assert [body.get("job_id") for _, _, body in told] == ["job-c1", "job-c2", None]


async def test_no_timer_ends_a_request_in_work_and_a_busy_server_does_not_either(start_web: Any) -> None:
    intake = SlowIntake()
    async with start_web(intake=intake) as web, connected(web) as (reader, writer):
        writer.write(hook("c1"))
        await intake.came.wait()
        [connection] = web.server._runner.server.connections
        assert not connection.lets_us_wait
        connection._next_keepalive_close_time = 0.0
        connection._process_keepalive()
        intake.answers.set()
        assert (await answer(reader))[0] == 202
        assert connection.lets_us_wait
        assert connection._keepalive_handle is not None  # it waits for the next with a limit again


async def test_a_client_that_left_costs_nobody_anything(start_web: Any, wait_until: Any) -> None:
    intake = SlowIntake()
    with capture_logs() as logs:
        async with start_web(intake=intake) as web:
            async with connected(web) as (_, writer):
                writer.write(hook("c1"))
                await intake.came.wait()
                [connection] = web.server._runner.server.connections
            await wait_until(lambda: connection.transport is None)
            intake.answers.set()
            await wait_until(lambda: not web.server._runner.server.connections)
            assert web.answers == [("/webhooks/ghl/workflow", 202)]  # the lead is kept all the same
    assert logs == []


async def test_the_way_down_waits_for_the_answer(start_web: Any) -> None:
    intake = SlowIntake()
    async with start_web(intake=intake) as web, connected(web) as (reader, writer):
        writer.write(hook("c1"))
        await intake.came.wait()
        down = asyncio.create_task(web.server.stop())
        while web.server._listener is not None:
            await asyncio.sleep(0)
        intake.answers.set()
        assert (await answer(reader))[0] == 202
        await down
        assert await reader.read() == b""


@pytest.mark.parametrize("error", [StoreUnavailable("gone"), ZeroDivisionError("a mistake of ours")])
async def test_what_the_store_refuses_is_told_as_on_aiohttp_s_way(web: Web, error: Exception) -> None:
    web.intake.next = error
    told = []
    for more in ((), ("Expect: 100-continue",)):  # aiohttp's way
        with capture_logs() as logs:
            async with connected(web) as (reader, writer):
                writer.write(hook("c1", "shared-secret-goes-here", *more))
                if more:
                    await reader.readuntil(b"\r\n\r\n")
                status, headers, body = await answer(reader)
                del headers["Date"]
                told.append((status, headers, body, [line["event"] for line in logs]))
    assert told[0] == told[1]
    assert told[0][0] == (429 if isinstance(error, StoreUnavailable) else 500)
    assert web.answers[0] == web.answers[1]
