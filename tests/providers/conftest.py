"""A vendor on a raw socket: it counts what really arrives, and can break in any way a network can."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest


@dataclass
class Seen:
    """One request as it arrived, complete. `at` is monotonic seconds."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float
    connection: int

    def json(self) -> Any:
        return json.loads(self.body)


Behaviour = Callable[[Seen, asyncio.StreamWriter], Awaitable[None]]


def http(
    status: int, body: bytes | str | dict[str, Any] | list[Any] = b"", headers: dict[str, str] | None = None
) -> bytes:
    """An answer as bytes, with its length."""
    raw = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Word", f"Content-Length: {len(raw)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + raw


@dataclass
class Wire:
    """The server. `says` queues answers, used in order, the last one for ever; `does` sets any behaviour."""

    port: int = 0
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0
    tls: bool = False
    _answers: list[bytes] = field(default_factory=lambda: [http(200, {})])
    _behaviour: Behaviour | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"

    def says(self, *answers: bytes) -> None:
        self._answers = list(answers)

    def does(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        self.connections += 1
        number = self.connections
        try:
            while True:
                seen = await _request(reader, number)
                self.seen.append(seen)
                if self._behaviour is not None:
                    await self._behaviour(seen, writer)
                else:
                    writer.write(self._answers.pop(0) if len(self._answers) > 1 else self._answers[0])
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self._writers.discard(writer)
            self._tasks.discard(task)

    async def stop(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _request(reader: asyncio.StreamReader, connection: int) -> Seen:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Seen(method, path, headers, body, time.monotonic(), connection)


@pytest.fixture
def answer() -> Callable[..., bytes]:
    return http


@pytest.fixture
async def start_wire() -> AsyncIterator[Callable[..., Awaitable[Wire]]]:
    """Starts vendors, with TLS if a context is given, and ends them all."""
    wires: list[tuple[Wire, asyncio.Server]] = []

    async def start(context: ssl.SSLContext | None = None) -> Wire:
        wire = Wire(tls=context is not None)
        server = await asyncio.start_server(wire.serve, "127.0.0.1", 0, ssl=context)
        wire.port = server.sockets[0].getsockname()[1]
        wires.append((wire, server))
        return wire

    yield start
    for wire, server in wires:
        server.close()
        await wire.stop()


@pytest.fixture
async def wire(start_wire: Callable[..., Awaitable[Wire]]) -> Wire:
    return await start_wire()


@dataclass
class Clock:
    """Monotonic seconds and wall-clock milliseconds that move together, by hand."""

    monotonic_s: float = 1000.0
    wall_ms: int = 1_795_435_200_000  # 2026-11-23T12:00:00Z

    def seconds(self) -> float:
        return self.monotonic_s

    def now_ms(self) -> int:
        return self.wall_ms

    def advance(self, seconds: float) -> None:
        self.monotonic_s += seconds
        self.wall_ms += round(seconds * 1000)


@pytest.fixture
def clock() -> Clock:
    return Clock()
