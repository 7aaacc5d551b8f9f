"""One connection: a cap on their number, and malformed requests answered without a traceback each.

aiohttp would write ~600 bytes at ERROR for every malformed request, and knows no cap (measured with 3.14.5).
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from typing import Any, Final, cast

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from leadenrich.web.problems import problem

_log: Final = structlog.get_logger(__name__)

RESERVED_FILES: Final = 128  # Redis (34), the vendors, the spool, the log, and what is accepted before it is looked at


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds and counts that a client can run into."""

    head_s: float = 15.0  # a total from connect: single bytes do not extend it; also the rest between two requests
    body_s: float = 5.0  # from the headers' end
    lingering_s: float = 1.0  # how long an answered request's unread body is thrown away before the end
    connections_max: int = 512
    log_in_s: float = 0.5  # how long a wrong token waits for its answer, one after the other
    drain_s: float = 0.25  # between "no new connections" and the end of the idle ones
    grace_s: float = 10.0  # then for requests still in work

    def within(self, files_max: int) -> Limits:
        """Fewer connections where so few files may be open: our own cap must say no before accepting fails."""
        fits = max(files_max - RESERVED_FILES, files_max // 4)
        return replace(self, connections_max=min(self.connections_max, fits))


class Hush:
    """At most one log line each `every_s` for what strangers can cause at will; tells how many it kept back."""

    def __init__(self, every_s: float = 1.0) -> None:
        self._every_s = every_s
        self._next = 0.0
        self._kept_back = 0

    def warn(self, event: str, **facts: object) -> None:
        now = time.monotonic()
        if now < self._next:
            self._kept_back += 1
            return
        _log.warning(event, **facts, kept_back=self._kept_back)
        self._next, self._kept_back = now + self._every_s, 0


class Connection(web.RequestHandler):
    """aiohttp's connection, with our limits. `limits.lingering_s` and `.head_s` are aiohttp's own settings."""

    __slots__ = ("_hush", "_limits", "_served", "_since")

    def __init__(self, server: web.Server, limits: Limits, hush: Hush) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=limits.head_s,
            lingering_time=limits.lingering_s,
            auto_decompress=False,  # signatures are over the bytes as sent; web/body.py inflates, bounded
            access_log=None,  # type: ignore[arg-type]  # it would print query strings, and with them tokens
        )
        self._limits = limits
        self._hush = hush
        self._served: web.BaseRequest | None = None
        self._since = time.monotonic()  # the connect, or the last answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert self._manager is not None
        others = cast("list[Connection]", self._manager.connections)
        if len(others) >= self._limits.connections_max:
            slowest = min((it for it in others if it.lets_us_wait), key=lambda it: it._since, default=None)
            gone = "the newest" if slowest is None else "the one that let us wait longest"
            self._hush.warn("connections_full", connections_max=self._limits.connections_max, dropped=gone)
            # Else a few hundred clients that send nothing would keep everybody out. What is in work does not suffer.
            if slowest is None or slowest.transport is None:
                cast(asyncio.Transport, transport).abort()
                return
            slowest.transport.abort()
        super().connection_made(transport)

    @property
    def lets_us_wait(self) -> bool:
        """Open, and the next bytes are the client's to send: those of a request's head, or the rest of its body."""
        if self.transport is None or self.transport.is_closing():
            return False
        return self._served is None or not self._served.content.is_eof()

    def serves(self, request: web.BaseRequest | None) -> None:
        """What it works on from now on; None when that is answered."""
        self._served = request
        if request is None:
            self._since = time.monotonic()

    def hang_up(self) -> None:
        """After this answer the connection ends, without waiting for the rest of the request."""
        self._lingering_time = 0.0

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """What aiohttp calls for a request it cannot parse, and for what escaped every handler."""
        if isinstance(exc, ConnectionError) and self.transport is None:
            raise exc  # the client is gone: aiohttp ends the connection quietly
        if isinstance(exc, HttpProcessingError):
            self._hush.warn("malformed_request", status=status, remote=request.remote, why=type(exc).__name__)
            answer = problem(status, "This is not a well-formed HTTP/1.1 request.")
        else:
            _log.error("request_failed", status=status, exc_info=exc)
            answer = problem(status, "Something went wrong on our side.")
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun: a second one cannot follow")
        answer.headers["Server"] = "leadenrich"
        answer.force_close()
        return answer


def hang_up(request: web.BaseRequest, answer: web.StreamResponse) -> None:
    """End the connection with this answer."""
    answer.force_close()
    protocol: Any = request.protocol
    if isinstance(protocol, Connection):
        protocol.hang_up()
