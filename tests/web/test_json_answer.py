"""An answer that is sent whole says what one that aiohttp puts together says."""

from __future__ import annotations

import asyncio
import json
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec
from aiohttp import web as aio

from leadenrich.web.app import Limits, WebServer
from leadenrich.web.json_answer import JsonAnswer

Web = Any
Headers = list[tuple[str, str]]


class Members(msgspec.Struct):
    text: str = "é"


def request(token: str = "shared-secret-goes-here", *more: str, version: str = "1.1") -> bytes:
    body = b'{"contact_id": "c1"}'
    head = [f"POST /webhooks/ghl/workflow HTTP/{version}", "Host: x", "Content-Type: application/json",
            f"X-Webhook-Token: {token}", f"Content-Length: {len(body)}", *more]  # fmt: skip
    return "\r\n".join([*head, "", ""]).encode() + body


def last(version: str = "1.1") -> bytes:
    """A request after which the server hangs up, so that `raw` comes to its end."""
    return request("wrong", "Connection: close", version=version)


def first_answer(raw: bytes) -> tuple[str, Headers, Any]:
    head, _, rest = raw.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
    length = int(dict(headers)["Content-Length"])
    return status, headers, json.loads(rest[:length])


def apart_from(*names: str, headers: Headers) -> Headers:
    return sorted((name, value) for name, value in headers if name not in names)


async def test_it_has_the_headers_of_any_other_answer(web: Web) -> None:
    status, headers, body = first_answer(await web.raw(request() + last()))
    usual_status, usual_headers, usual_body = first_answer(
        await web.raw(request("shared-secret-goes-here", "Connection: close"))
    )
    assert (status, body) == (usual_status, {"job_id": "job1", "status": "QUEUED"})
    assert usual_body == {"job_id": "job2", "status": "QUEUED"}
    assert apart_from("Date", headers=headers) == apart_from("Date", "Connection", headers=usual_headers)
    assert dict(usual_headers)["Connection"] == "close"
    told, usual = (parsedate_to_datetime(dict(it)["Date"]) for it in (headers, usual_headers))
    assert abs((usual - told).total_seconds()) <= 5


async def test_the_old_protocol_is_answered_in_its_own_way(web: Web) -> None:
    kept = request("shared-secret-goes-here", "Connection: keep-alive", version="1.0")
    status, headers, _ = first_answer(await web.raw(kept + last("1.0")))
    assert status == "HTTP/1.0 202 Accepted"
    assert dict(headers)["Connection"] == "keep-alive"


async def test_each_of_several_requests_in_a_row_gets_its_own(web: Web) -> None:
    raw = await web.raw(request() * 20 + last())
    assert [f"job{n}".encode() in raw for n in range(1, 21)] == [True] * 20
    assert raw.count(b"HTTP/1.1 202 Accepted\r\n") == 20
    assert raw.count(b"HTTP/1.1 401 Unauthorized\r\n") == 1


async def test_what_a_handler_adds_is_sent() -> None:
    async def handler(_: aio.Request) -> aio.Response:
        answer = JsonAnswer(200, Members())
        answer.headers["X-More"] = "yes"
        return answer

    app = aio.Application()
    app.router.add_get("/", handler)
    async with WebServer(app, limits=Limits(drain_s=0.0)) as server:
        reader, writer = await asyncio.open_connection(*server.address)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = int(head.partition("Content-Length: ")[2].partition("\r\n")[0])
        assert "X-More: yes\r\n" in head
        assert json.loads(await reader.readexactly(length)) == {"text": "é"}
        writer.close()
