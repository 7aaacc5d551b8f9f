"""The listening socket and its life: start, serve, drain, end."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import sys
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Self, cast

import structlog
from aiohttp import http_parser, web

from leadenrich.web.connection import Connection, Hush, Limits
from leadenrich.web.problems import problem_of

log: Final = structlog.get_logger(__name__)

# asyncio accepts as many as its backlog before it looks at the first of them: they would pass by our cap.
ACCEPTED_AT_ONCE: Final = 16
HELD_ROW: Final = 4096  # the system may hold it lower: net.core.somaxconn


class CannotListen(Exception):
    """The address is taken, not ours, or not allowed; the message names it."""


class WebServer:
    """Serves one application on one address, or on the sockets that systemd holds. `async with` starts and ends it."""

    def __init__(
        self,
        app: web.Application,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        held: Sequence[socket.socket] = (),
        limits: Limits | None = None,
    ) -> None:
        self._host = host
        self._port = port
        self._held = held
        self._limits = _fitting(limits or Limits())
        self._runner = web.AppRunner(app, shutdown_timeout=self._limits.grace_s)
        self._listeners: list[asyncio.Server] = []
        self._ending = False

    async def start(self) -> None:
        """Raises: CannotListen."""
        if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
            raise CannotListen("aiohttp's C parser is not loaded: install aiohttp from a wheel")
        await self._runner.setup()
        try:
            self._listeners = await self._listen()
        except OSError as error:
            await self._runner.cleanup()
            # asyncio's own words repeat the address; a name that does not resolve has a number below 0.
            why = os.strerror(error.errno) if error.errno is not None and error.errno > 0 else error.strerror or error
            told = f"cannot listen on {self._host}:{self._port}: {why}"
            setting = "server.host and server.port say where (worker.listen for a worker half alone)"
            raise CannotListen(f"{told}: {setting}") from error

    async def _listen(self) -> list[asyncio.Server]:
        server, hush, loop = self._runner.server, Hush(), asyncio.get_running_loop()
        assert server is not None
        answer = server.request_handler

        async def answer_in_our_shape(request: web.BaseRequest) -> web.StreamResponse:
            """What aiohttp refuses before any middleware runs (an unknown Expect) looks like the rest."""
            connection = cast(Connection, request.protocol)
            connection.serves(request)
            try:
                told = await answer(request)
            except web.HTTPException as refusal:
                told = problem_of(refusal)
            finally:
                connection.serves(None)
            if self._ending:
                told.force_close()
            return told

        server.request_handler = answer_in_our_shape

        def connect() -> Connection:
            return Connection(server, self._limits, hush)

        if self._held:
            listeners = [await _listen_on(held, connect) for held in self._held]
        else:
            listeners = [await loop.create_server(connect, self._host, self._port, backlog=ACCEPTED_AT_ONCE)]
        # The system's row of those who wait to be accepted. It is longer where they wait for a whole restart.
        row = HELD_ROW if self._held else self._limits.connections_max
        for listening in [it for listener in listeners for it in listener.sockets]:
            with socket.socket(fileno=os.dup(listening.fileno())) as same:
                same.listen(row)
        return listeners

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens; the port is the real one when 0 was asked for. Of a unix socket: its path, and 0."""
        name = self._listeners[0].sockets[0].getsockname()
        return (name[0], name[1]) if isinstance(name, tuple) else (str(name), 0)

    @property
    def url(self) -> str:
        host, port = self.address
        if not port:
            return f"unix:{host}"
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def send_away(self) -> None:
        """Every answer from now on is the last of its connection: nobody then sends on one that is about to end."""
        self._ending = True

    async def stop(self) -> None:
        """No new connections; those that were accepted and not yet read get their answer; then the end."""
        if not self._listeners:
            return
        self.send_away()
        for listener in self._listeners:
            listener.close()  # of a held socket only our end: who comes now waits for the next process
        self._listeners = []
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


async def _listen_on(held: socket.socket, connect: Callable[[], Connection]) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    if held.family != socket.AF_UNIX:
        return await loop.create_server(connect, sock=held, backlog=ACCEPTED_AT_ONCE)
    if sys.version_info >= (3, 13):  # the file is systemd's: it must outlive us
        return await loop.create_unix_server(connect, sock=held, backlog=ACCEPTED_AT_ONCE, cleanup_socket=False)
    return await loop.create_unix_server(connect, sock=held, backlog=ACCEPTED_AT_ONCE)


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
