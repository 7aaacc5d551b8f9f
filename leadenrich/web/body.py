"""The bytes of a request: bounded in size and time, before and after decompression."""

from __future__ import annotations

import asyncio
import zlib
from dataclasses import dataclass

from aiohttp import StreamReader, web

from leadenrich.web.problems import Refused

# RFC 9110 calls zlib's format "deflate"; some senders mean the bare one, so both are tried.
_WINDOW_BITS = {"gzip": (31,), "x-gzip": (31,), "deflate": (15, -15)}


@dataclass(frozen=True, slots=True)
class Body:
    """`sent` are the bytes on the wire, `plain` what they say; the same object without a Content-Encoding."""

    sent: bytes
    plain: bytes


async def read_json_body(
    request: web.Request, *, bytes_max: int, seconds: float, also: frozenset[str] = frozenset()
) -> Body:
    """The body of a request that says it is JSON, or one of the types `also` taken.

    Raises: Refused 400 (broken framing or compression), 408, 413, 415, in the order size, type.
    """
    sent = await read_body(request, bytes_max=bytes_max, seconds=seconds)
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding != "identity" and encoding not in _WINDOW_BITS:
        raise Refused(415, "The body may be sent plain, or with Content-Encoding gzip or deflate.")
    plain = sent if encoding == "identity" else _inflate(sent, encoding, bytes_max)
    if not _says_json(media_type(request)) and media_type(request) not in also:
        raise Refused(415, f"The Content-Type must be {' or '.join(('application/json', *sorted(also)))}.")
    return Body(sent, plain)


def media_type(request: web.Request) -> str:
    """The Content-Type in lower case and without its parameters; "" where there is none.

    Not aiohttp's `content_type`: the email package reads the parameters for it, and takes a second over 8 KB of
    semicolons, or ends in a RecursionError over brackets (measured with aiohttp 3.14 and Python 3.11).
    """
    return request.headers.get("Content-Type", "").partition(";")[0].strip().lower()


async def read_body(request: web.Request, *, bytes_max: int, seconds: float) -> bytes:
    """The bytes as sent. aiohttp has no time limit for a body: without this one a dripping client stays for ever.

    Raises: Refused 400, 408 (ends the connection), 413.
    """
    if (request.content_length or 0) > bytes_max:
        raise _too_large(bytes_max)
    content = request.content
    try:
        if content.is_eof():  # it came together with its head, as small ones do: no timer is needed
            body = content.read_nowait()
        else:
            async with asyncio.timeout(seconds):
                body = await _read_on(content, bytes_max)
    except TimeoutError:
        raise Refused(408, f"The body was not complete within {seconds:g} s.", close=True) from None
    except web.RequestPayloadError:
        raise Refused(400, "The body's framing is broken.", close=True) from None
    if len(body) > bytes_max:
        raise _too_large(bytes_max)
    return body


async def _read_on(content: StreamReader, bytes_max: int) -> bytes:
    """Up to the end, or to where it is too much."""
    body = bytearray()
    while len(body) <= bytes_max and (chunk := await content.readany()):
        body += chunk
    return bytes(body)


def _inflate(sent: bytes, encoding: str, bytes_max: int) -> bytes:
    """One member only: a chain of empty ones costs time and says nothing."""
    for window_bits in _WINDOW_BITS[encoding]:
        inflater = zlib.decompressobj(window_bits)
        try:
            plain = inflater.decompress(sent, bytes_max + 1)
        except zlib.error:
            continue
        if len(plain) > bytes_max:
            raise _too_large(bytes_max)
        if inflater.eof and not inflater.unused_data:
            return plain
    raise Refused(400, f"The body is not one complete {encoding} stream.")


def _says_json(content_type: str) -> bool:
    return content_type == "application/json" or (
        content_type.startswith("application/") and content_type.endswith("+json")
    )


def _too_large(bytes_max: int) -> Refused:
    return Refused(413, f"The body is larger than {bytes_max} bytes (server.max_body_bytes).")
