"""The listening socket and its life: start, serve, drain, end."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
from types import TracebackType
from typing import Final, Self, cast

import structlog
from aiohttp import http_parser, web

from leadenrich.web.connection import Connection, Hush, Limits
from leadenrich.web.problems import problem_of

log: Final = structlog.get_logger(__name__)

# asyncio accepts as many as its backlog before it looks at the first of them: they would pass by our cap.
ACCEPTED_AT_ONCE: Final = 16


class CannotListen(Exception):
    """The address is taken, not ours, or not allowed; the message names it."""


class WebServer:
    """Serves one application on one address, or on a socket that systemd holds. `async with` starts and ends it."""

    def __init__(
        self,
        app: web.Application,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        sock: socket.socket | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._host = host
        self._port = port
        self._sock = sock
        self._limits = _fitting(limits or Limits())
        self._runner = web.AppRunner(app, shutdown_timeout=self._limits.grace_s)
        self._listener: asyncio.Server | None = None

    async def start(self) -> None:
        """Raises: CannotListen."""
        if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
            raise CannotListen("aiohttp's C parser is not loaded: install aiohttp from a wheel")
        await self._runner.setup()
        try:
            self._listener = await self._listen()
        except OSError as error:
            await self._runner.cleanup()
            # asyncio's own words repeat the address; a name that does not resolve has a number below 0.
            why = os.strerror(error.errno) if error.errno is not None and error.errno > 0 else error.strerror or error
            told = f"cannot listen on {self._host}:{self._port}: {why}"
            setting = "server.host and server.port say where (worker.listen for a worker half alone)"
            raise CannotListen(f"{told}: {setting}") from error

    async def _listen(self) -> asyncio.Server:
        server, hush, loop = self._runner.server, Hush(), asyncio.get_running_loop()
        assert server is not None
        answer = server.request_handler

        async def answer_in_our_shape(request: web.BaseRequest) -> web.StreamResponse:
            """What aiohttp refuses before any middleware runs (an unknown Expect) looks like the rest."""
            connection = cast(Connection, request.protocol)
            connection.serves(request)
            try:
                return await answer(request)
            except web.HTTPException as refusal:
                return problem_of(refusal)
            finally:
                connection.serves(None)

        server.request_handler = answer_in_our_shape

        def connect() -> Connection:
            return Connection(server, self._limits, hush)

        if self._sock is not None:
            listener = await loop.create_server(connect, sock=self._sock, backlog=ACCEPTED_AT_ONCE)
        else:
            listener = await loop.create_server(connect, self._host, self._port, backlog=ACCEPTED_AT_ONCE)
        for listening in listener.sockets:
            with socket.socket(fileno=os.dup(listening.fileno())) as same:
                same.listen(self._limits.connections_max)  # the system's row of those who wait to be accepted
        return listener

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens; the port is the real one when 0 was asked for."""
        assert self._listener is not None
        host, port = self._listener.sockets[0].getsockname()[:2]
        return host, port

    @property
    def url(self) -> str:
        host, port = self.address
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def stop(self) -> None:
        """No new connections; those that were accepted and not yet read get their answer; then the end."""
        if self._listener is None:
            return
        self._listener.close()
        self._listener = None
        # aiohttp's cleanup alone closed accepted-but-unread connections (measured).
        await asyncio.sleep(self._limits.drain_s)
        await self._runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()


def _fitting(limits: Limits) -> Limits:
    """What the open files of this process allow; told where that is less."""
    files_max, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files_max == resource.RLIM_INFINITY:
        return limits
    fitting = limits.within(files_max)
    if fitting.connections_max < limits.connections_max:
        log.warning(
            "connections_limited",
            connections_max=fitting.connections_max,
            note=f"only {files_max} files may be open: raise LimitNOFILE (ulimit -n) for {limits.connections_max}",
        )
    return fitting
