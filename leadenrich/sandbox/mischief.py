"""Carries a fault out on the wire."""

from __future__ import annotations

import math
import re
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Final, Protocol

from aiohttp import web

from leadenrich.sandbox.faults import Fault

HTML_502: Final = "<html><head><title>502 Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>"
HTML_403: Final = "<html><head><title>Access denied</title></head><body>error code: 1010</body></html>"
_DATE_AHEAD = re.compile(r"date(?:\+(\d+))?")

NEIGHBOUR: Final[web.RequestKey[bool]] = web.RequestKey("neighbour", bool)


class Dropped(web.Response):
    """Stands for an answer that never went out: the connection is already gone."""


class Refuser(Protocol):
    """What mischief needs of a vendor: its way to say no, and its patience."""

    def refuse(self, status: int, message: str = "") -> web.Response:
        """The vendor's own error shape; an empty message means its usual words."""
        ...

    def daily_spent(self) -> web.Response: ...

    def decorate(self, response: web.StreamResponse, request: web.Request) -> None:
        """Set the headers that every answer of the vendor carries."""
        ...

    async def pause(self, seconds: float) -> None:
        """Wait, but not beyond the vendor's closing. 0: until it closes."""
        ...


Answer = Callable[[], Awaitable[web.StreamResponse]]


async def carry_out(fault: Fault, request: web.Request, vendor: Refuser, answer: Answer) -> web.StreamResponse:
    """Do what the fault says; `answer` gives the true answer, and has its effect when called."""
    match fault.kind:
        case "slow":
            await vendor.pause(fault.seconds)
            return await answer()
        case "hang":
            await vendor.pause(fault.seconds)
            return drop(request)
        case "reset":
            return drop(request)
        case "lost_answer":
            await answer()
            return drop(request)
        case "neighbour":
            request[NEIGHBOUR] = True
            return await answer()
        case "truncated":
            whole = await answer()
            return web.Response(status=whole.status, body=_half(whole), content_type=whole.content_type)
        case "cut_off":
            return await _cut_off(request, vendor, await answer())
        case _:
            return _refusal(fault, vendor)


def drop(request: web.Request) -> Dropped:
    """Reset the connection under the client's feet (RST, not FIN)."""
    transport = request.transport
    if transport is not None:
        with suppress(OSError, AttributeError):
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return Dropped()


def retry_after_text(value: int | str, now: datetime) -> str:
    """The Retry-After header for a fault's `retry_after`. An HTTP date has whole seconds: rounded up, never early."""
    ahead = _DATE_AHEAD.fullmatch(str(value))
    if ahead is None:
        return str(value)
    due = now + timedelta(seconds=int(ahead[1] or 1))
    return format_datetime(datetime.fromtimestamp(math.ceil(due.timestamp()), UTC), usegmt=True)


def _half(response: web.StreamResponse) -> bytes:
    body = response.body if isinstance(response, web.Response) else None
    return body[: len(body) // 2] if isinstance(body, bytes) else b""


async def _cut_off(request: web.Request, vendor: Refuser, whole: web.StreamResponse) -> web.StreamResponse:
    part = _half(whole)
    response = web.StreamResponse(status=whole.status, headers={"Content-Type": whole.content_type})
    response.content_length = len(part) * 2 + 1  # more than will come
    vendor.decorate(response, request)
    await response.prepare(request)
    await response.write(part)
    if request.transport is not None:
        request.transport.close()  # flushes what was written, unlike abort()
    return response


_STATUS: Final = {
    "throttle": 429,
    "unauthorized": 401,
    "forbidden": 403,
    "out_of_credit": 402,
    "bad_request": 400,
    "not_found": 404,
    "server_error": 500,
}


def _refusal(fault: Fault, vendor: Refuser) -> web.Response:
    if fault.kind == "daily":
        response = vendor.daily_spent()
    elif fault.kind in _STATUS:
        response = vendor.refuse(_STATUS[fault.kind], fault.body)
    else:
        response = _plain(fault)
    if fault.retry_after is not None:
        response.headers["Retry-After"] = retry_after_text(fault.retry_after, datetime.now(UTC))
    return response


def _plain(fault: Fault) -> web.Response:
    match fault.kind:
        case "forbidden_html":
            return web.Response(status=403, text=fault.body or HTML_403, content_type="text/html")
        case "bad_gateway":
            return web.Response(status=502, text=fault.body or HTML_502, content_type="text/html")
        case "no_content":
            return web.Response(status=204)
        case "redirect":
            return web.Response(status=302, headers={"Location": fault.body or "https://login.example.com/"})
        case "empty":
            return web.Response(status=200, content_type="application/json")
        case _:
            return web.Response(status=fault.status, text=fault.body, content_type="application/json")
