"""Clients that take their time: a connection each, held until the daemon ends it."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass

HOOK = b"POST /webhooks/ghl HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
BODY = HOOK + b"Content-Length: 5000\r\n\r\n"
DRIP_S = 0.5


@dataclass(frozen=True, slots=True)
class Slowness:
    """What is sent at once, what drips after it, and after how many seconds the daemon ends it."""

    name: str
    sent: bytes
    drip: bytes
    closed_s: float


SLOWNESSES = (
    Slowness("idle after connect", b"", b"", 15.0),
    Slowness("head stalled", HOOK, b"", 15.0),
    Slowness("head dripped", HOOK + b"X-Slow: ", b"x", 15.0),
    Slowness("body stalled", BODY + b"{", b"", 5.0),
    Slowness("body dripped", BODY, b" ", 5.0),
)


@dataclass(frozen=True, slots=True)
class Held:
    """How long one was held, seconds from its connect, and whether it was answered before."""

    slowness: Slowness
    seconds: float
    answered: bool


async def hold(port: int, slowness: Slowness, *, within_s: float = 40.0) -> Held:
    """One slow client, until the daemon ends it. Raises: AssertionError when it does not; OSError on connect."""
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = asyncio.create_task(_until_closed(reader))
    with suppress(OSError):
        writer.write(slowness.sent)
        while not received.done() and time.monotonic() < began + within_s:
            writer.write(slowness.drip)
            await asyncio.wait([received], timeout=DRIP_S)
    seconds = time.monotonic() - began
    writer.close()
    assert received.done(), f"{slowness.name}: open after {seconds:.0f} s"
    return Held(slowness, seconds, bool(received.result()))


async def _until_closed(reader: asyncio.StreamReader) -> bytes:
    """What came before the end; a reset is an end too."""
    received = b""
    with suppress(ConnectionError):
        while more := await reader.read(4096):
            received += more
    return received


async def hold_all(port: int, count: int) -> list[Held]:
    """So many at once, of each slowness in turn."""
    return await asyncio.gather(*(hold(port, SLOWNESSES[number % len(SLOWNESSES)]) for number in range(count)))
