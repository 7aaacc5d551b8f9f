"""Slow, broken and hostile clients: bounded, answered 400 at worst, and never at the cost of the others."""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import socket
import time
from typing import Any

import pytest
from aiohttp import web as aio
from structlog.testing import capture_logs

from leadenrich.web.app import CannotListen, Limits, WebServer

Web = Any

HOOK = b"POST /webhooks/ghl HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
MALFORMED = {
    "length and chunks": HOOK + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": HOOK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
    "signed length": HOOK + b"Content-Length: +2\r\n\r\n{}",
    "negative length": HOOK + b"Content-Length: -2\r\n\r\n{}",
    "two hosts": b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "bare line feeds": b"GET /healthz HTTP/1.1\nHost: a\n\n",
    "folded header": b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-A: b\r\n c\r\n\r\n",
    "NUL in a value": b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-A: b\x00c\r\n\r\n",
    "ESC in a value": b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-A: b\x1bc\r\n\r\n",
    "long line": b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "long header": b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-A: " + b"x" * 9000 + b"\r\n\r\n",
    "many headers": b"GET /healthz HTTP/1.1\r\nHost: a\r\n" + b"X-A: b\r\n" * 200 + b"\r\n",
    "space before the colon": b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-A : b\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 64,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "nonsense": b"\x00\xff\xfe nonsense\r\n\r\n",
}


def parsed(raw: bytes) -> tuple[int, bytes, Any]:
    head, _, body = raw.partition(b"\r\n\r\n")
    return int(raw[9:12]), head.lower(), json.loads(body) if body else None


@pytest.mark.parametrize("request_bytes", MALFORMED.values(), ids=MALFORMED.keys())
async def test_a_malformed_request_is_refused_and_cut(web: Web, request_bytes: bytes) -> None:
    with capture_logs() as logs:
        status, head, answer = parsed(await web.raw(request_bytes))
    assert status == 400
    assert b"content-type: application/problem+json" in head
    assert b"server: leadenrich" in head
    assert answer["status"] == 400
    assert all("exc_info" not in line for line in logs)


async def test_smuggled_requests_are_not_served(web: Web) -> None:
    hidden = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
    forms = [
        HOOK + b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" % len(hidden) + hidden,
        HOOK + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + hidden,
        HOOK + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + hidden,
    ]
    for form in forms:
        assert b"leadenrich_up" not in await web.raw(form)


async def test_broken_chunks_are_the_client_s_mistake(web: Web) -> None:
    for broken in (b"zz\r\n{}\r\n0\r\n\r\n", b"2\r\n{}x", b"-1\r\n{}\r\n"):
        raw = await web.raw(HOOK + b"Transfer-Encoding: chunked\r\n\r\n" + broken)
        assert parsed(raw)[0] == 400


async def test_a_flood_of_malformed_requests_is_a_few_lines(web: Web, caplog: pytest.LogCaptureFixture) -> None:
    """No traceback each, as aiohttp would write."""
    with capture_logs() as logs:
        for _ in range(50):
            await web.raw(MALFORMED["NUL in a value"])
    assert [line["event"] for line in logs].count("malformed_request") <= 5
    assert caplog.records == []


async def test_a_flood_of_chunks_ends_at_the_limit(web: Web) -> None:
    body = b"1\r\nx\r\n" * 262_145 + b"0\r\n\r\n"
    raw = await web.raw(HOOK + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + body)
    assert parsed(raw)[0] == 413


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HTTP/1.1\r\n", b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: "])
async def test_headers_that_do_not_end_are_cut(start_web: Any, sent: bytes) -> None:
    """The time is a total: single bytes do not extend it."""
    async with start_web(limits=Limits(head_s=0.4, drain_s=0.01)) as web:
        began = time.monotonic()
        reader, writer = await asyncio.open_connection(*web.server.address)
        writer.write(sent)
        end = asyncio.create_task(reader.read())
        while not end.done() and time.monotonic() < began + 5:
            writer.write(b"x" if sent.endswith(b" ") else b"")
            await asyncio.wait([end], timeout=0.05)
        assert end.done()
        assert 0.3 < time.monotonic() - began < 4
        writer.close()


@pytest.mark.parametrize("path", [b"/webhooks/ghl", b"/webhooks/ghl/workflow"])
async def test_a_body_that_does_not_end_is_cut(start_web: Any, path: bytes) -> None:
    """Dripping or silent: aiohttp alone would wait for ever."""
    async with start_web(limits=Limits(body_s=0.4, lingering_s=8, drain_s=0.01)) as web:
        began = time.monotonic()
        reader, writer = await asyncio.open_connection(*web.server.address)
        writer.write(HOOK.replace(b"/webhooks/ghl", path) + b"Content-Length: 5000\r\n\r\n")
        head = asyncio.create_task(reader.readuntil(b"\r\n\r\n"))
        while not head.done() and time.monotonic() < began + 5:
            writer.write(b" ")
            await asyncio.wait([head], timeout=0.05)
        assert parsed(head.result())[0] == 408
        # What dripped in meanwhile and was never read turns the end into a reset: an end all the same.
        with contextlib.suppress(ConnectionResetError):
            await asyncio.wait_for(reader.read(), 4)
        assert 0.3 < time.monotonic() - began < 4  # not the lingering time on top
        writer.close()


async def test_an_unread_body_is_not_waited_for(start_web: Any) -> None:
    async with start_web(limits=Limits(lingering_s=0.2, drain_s=0.01)) as web:
        began = time.monotonic()
        raw = await web.raw(b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n")
        assert parsed(raw)[0] == 404
        assert time.monotonic() - began < 2


async def test_slow_clients_do_not_slow_the_good_ones(start_web: Any) -> None:
    async with start_web(limits=Limits(head_s=5, drain_s=0.01)) as web:
        slow = [await asyncio.open_connection(*web.server.address) for _ in range(100)]
        for _, writer in slow:
            writer.write(b"POST /webhooks/ghl HTTP/1.1\r\n")
        began = time.monotonic()
        assert (await web.call("GET", "/healthz"))[0].status == 200
        assert time.monotonic() - began < 1
        for _, writer in slow:
            writer.close()


async def test_above_the_cap_who_lets_us_wait_longest_goes(start_web: Any) -> None:
    """Nothing sent, half a head, half a body: each makes room for one that says something."""
    get = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    async with start_web(limits=Limits(connections_max=3, drain_s=0.01)) as web:
        waited_for = []
        for sent in (b"", b"GET /healthz HTTP/1.1\r\n", HOOK + b"Content-Length: 500\r\n\r\n{"):
            waited_for.append(await asyncio.open_connection(*web.server.address))
            waited_for[-1][1].write(sent)
        with capture_logs() as logs:
            served = []
            for reader, _ in waited_for:
                served.append(await asyncio.open_connection(*web.server.address))
                served[-1][1].write(get)
                assert b"200 OK" in await served[-1][0].readuntil(b"}")
                with contextlib.suppress(ConnectionResetError):
                    assert await asyncio.wait_for(reader.read(), 4) == b""
        assert {line["event"] for line in logs} == {"connections_full"}
        assert {line["log_level"] for line in logs} == {"warning"}
        for reader, writer in served:
            writer.write(get)
            assert b"200 OK" in await reader.readuntil(b"}")
        for _, writer in (*waited_for, *served):
            writer.close()


async def test_above_the_cap_the_newest_goes_where_all_are_in_work(start_web: Any) -> None:
    async with start_web(limits=Limits(connections_max=2, drain_s=0.01)) as web:
        entered, leave, submit = asyncio.Semaphore(0), asyncio.Event(), web.intake.submit

        async def slow(submission: Any) -> Any:
            entered.release()
            await leave.wait()
            return await submit(submission)

        web.intake.submit = slow
        hooks = [asyncio.create_task(web.hook({"type": "ContactCreate", "id": f"c{number}"})) for number in range(2)]
        for _ in hooks:
            await entered.acquire()
        with capture_logs() as logs:
            for _ in range(20):
                assert await web.raw(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n") == b""
        assert 1 <= [line["event"] for line in logs].count("connections_full") <= 3
        leave.set()
        assert [status for status, _ in await asyncio.gather(*hooks)] == [202, 202]
        assert (await web.call("GET", "/healthz"))[0].status == 200


def test_the_cap_fits_the_files_that_may_be_open() -> None:
    for files_max, connections_max in ((65_536, 512), (1024, 512), (256, 128), (128, 32)):
        assert Limits().within(files_max).connections_max == connections_max


async def test_fewer_connections_than_wanted_are_told(start_web: Any) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (600, hard))
    try:
        with capture_logs() as logs:
            async with start_web(limits=Limits(drain_s=0.01)):
                pass
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    [told] = [line for line in logs if line["event"] == "connections_limited"]
    assert told["connections_max"] == 472
    assert "LimitNOFILE" in told["note"]


async def test_a_client_that_leaves_is_nobody_s_error(web: Web, wait_until: Any) -> None:
    with capture_logs() as logs:
        for _ in range(5):
            _, writer = await asyncio.open_connection(*web.server.address)
            writer.write(HOOK + b"Content-Length: 500\r\n\r\n{")
            await writer.drain()
            writer.transport.abort()
        assert (await web.call("GET", "/healthz"))[0].status == 200
    assert [line for line in logs if line["log_level"] == "error"] == []


async def test_every_refusal_is_a_problem(web: Web) -> None:
    for method, path, status in (
        ("GET", "/nowhere", 404),
        ("GET", "/webhooks/ghl", 405),
        ("DELETE", "/healthz", 405),
        ("GET", "/static/../app.py", 404),
        ("GET", "/static/%2e%2e%2fapp.py", 404),
        ("GET", "/api/v1/jobs/../../healthz/x", 404),
    ):
        response, answer = await web.call(method, path)
        assert (response.status, response.content_type) == (status, "application/problem+json"), path
        assert set(answer) == {"type", "title", "status", "detail"}
        assert response.headers["Server"] == "leadenrich"
        if status == 405:
            assert response.headers["Allow"]
    for path in (b"/healthz", b"/nowhere"):
        raw = await web.raw(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nExpect: wonders\r\nConnection: close\r\n\r\n")
        status, head, answer = parsed(raw)
        assert status == 417
        assert b"problem+json" in head


async def test_answers_are_counted_by_route(web: Web) -> None:
    for path in ("/healthz", "/nowhere/1", "/nowhere/2", "/api/v1/jobs/xyz"):
        await web.call("GET", path)
    assert web.answers == [("/healthz", 200), ("unmatched", 404), ("unmatched", 404), ("/api/v1/jobs/{id}", 401)]


async def test_no_token_of_a_query_is_logged(web: Web, caplog: pytest.LogCaptureFixture) -> None:
    with capture_logs() as logs:
        await web.call("POST", "/webhooks/ghl/workflow?token=s3cret-value", json={})
        await web.call("GET", "/nowhere?token=s3cret-value")
    assert logs != []
    assert "s3cret-value" not in repr(logs) + caplog.text


async def test_requests_in_work_are_answered_when_it_ends(start_web: Any) -> None:
    """And those that were accepted but not yet read."""
    async with start_web(limits=Limits(drain_s=0.2)) as web:
        entered, leave = asyncio.Event(), asyncio.Event()
        submit = web.intake.submit

        async def slow(submission: Any) -> Any:
            entered.set()
            await leave.wait()
            return await submit(submission)

        web.intake.submit = slow
        hook = asyncio.create_task(web.hook({"type": "ContactCreate", "id": "c1"}))
        await entered.wait()
        unread = await asyncio.open_connection(*web.server.address)
        host, port = web.server.address
        ending = asyncio.create_task(web.server.stop())
        await asyncio.sleep(0)
        unread[1].write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b"200 OK" in await unread[0].read()
        with pytest.raises(OSError):
            await asyncio.open_connection(host, port)
        leave.set()
        assert (await hook)[0] == 202
        await ending
        unread[1].close()


async def test_on_the_way_down_every_answer_is_the_last_of_its_connection(start_web: Any) -> None:
    """So that no client sends on a connection that is about to end; those that send nothing are ended after a while."""
    async with start_web(limits=Limits(drain_s=0.2)) as web:
        get = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
        busy, idle = [await asyncio.open_connection(*web.server.address) for _ in range(2)]
        for reader, writer in (busy, idle):
            writer.write(get)
            assert b"Connection: close" not in await reader.readuntil(b"}")
        ending = asyncio.create_task(web.server.stop())
        await asyncio.sleep(0)
        busy[1].write(get)
        last = await busy[0].read()
        assert b"200 OK" in last
        assert b"Connection: close" in last
        assert not ending.done()
        assert await idle[0].read() == b""
        await ending
        for _, writer in (busy, idle):
            writer.close()


async def test_sent_away_they_come_again_while_the_door_is_open(start_web: Any) -> None:
    """Webhooks too, whose answers are sent whole, and refusals; the door itself stays open."""
    async with start_web() as web:
        for ending in (False, True, True):
            for path, status in (("/webhooks/ghl", 401), ("/webhooks/ghl/workflow", 202), ("/nowhere", 404)):
                sent = {"Content-Type": "application/json", "X-Webhook-Token": "shared-secret-goes-here"}
                response, _ = await web.call("POST", path, data=b'{"contact_id": "c1"}', headers=sent)
                assert (response.status, response.headers.get("Connection")) == (status, "close" if ending else None)
            web.server.send_away()


async def test_a_port_that_is_taken_is_told(web: Web) -> None:
    host, port = web.server.address
    with pytest.raises(CannotListen, match=rf"127\.0\.0\.1:{port}: Address already in use: .*server\.port"):
        async with WebServer(aio.Application(), host=host, port=port):
            pass


async def test_a_socket_that_systemd_holds_is_served() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        held.setblocking(False)
        async with WebServer(aio.Application(), held=[held], limits=Limits(drain_s=0.01)) as server:
            assert server.address == held.getsockname()
            assert server.url == f"http://127.0.0.1:{held.getsockname()[1]}"
