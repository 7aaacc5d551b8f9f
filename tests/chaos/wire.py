"""A wire between the daemon and Redis that can be cut at an exact command: before Redis has it, or after it is done."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from leadenrich.store.scripts import source

Command = list[bytes]


@cache
def _names() -> dict[bytes, str]:
    """The scripts by the hash that EVALSHA names, with and without the line that real Redis 7 gets."""
    folder = files("leadenrich.store") / "lua"
    names = [path.name.removesuffix(".lua") for path in folder.iterdir() if path.name.endswith(".lua")]
    return {
        hashlib.sha1(source(name, flags=flags)).hexdigest().encode(): name
        for name in names
        if not name.startswith("_")
        for flags in (True, False)
    }


def script_of(command: Command) -> str:
    """The verb that a command runs; "" for any other command."""
    if len(command) < 2:
        return ""
    word = command[0].upper()
    if word == b"EVALSHA":
        return _names().get(command[1], "")
    if word == b"EVAL":
        return _names().get(hashlib.sha1(command[1]).hexdigest().encode(), "")
    return ""


@dataclass(frozen=True, slots=True)
class Cut:
    """Where to cut: the first call of a script whose command holds all `words`.

    `late`: only when Redis has done it, so that its answer is all that is lost; `answer` must be a part of that.
    """

    script: str
    words: tuple[bytes, ...] = ()
    late: bool = False
    answer: bytes = b""

    def meets(self, command: Command) -> bool:
        return script_of(command) == self.script and all(word in command for word in self.words)


class Wire:
    """Passes everything on until the armed cut is met; then it acts, and that connection carries nothing more.

    A script that Redis does not know yet is answered NOSCRIPT: `late` waits for the call that really ran.
    """

    def __init__(self, port: int) -> None:
        self.redis_port = port
        self.port = 0
        self._cut: Cut | None = None
        self._act: Callable[[], Awaitable[None]] | None = None
        self.met = asyncio.Event()
        self._springing: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def arm(self, cut: Cut, act: Callable[[], Awaitable[None]]) -> asyncio.Event:
        """`act` runs when the cut is met, before anything else passes here; the event is set when it has."""
        self.met = asyncio.Event()
        self._cut, self._act = cut, act
        return self.met

    def disarm(self) -> None:
        self._cut = self._act = None

    async def _spring(self) -> None:
        """On a task of its own: the act ends the connection on which the cut was met."""
        act, met = self._act, self.met
        self.disarm()

        async def spring() -> None:
            if act is not None:
                await act()
            met.set()

        self._springing = asyncio.create_task(spring())
        await asyncio.shield(self._springing)

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.redis_port)
        except OSError:
            writer.close()
            return
        link = _Link(self, reader, writer, up_reader, up_writer)
        tasks = [asyncio.create_task(link.upwards()), asyncio.create_task(link.downwards())]
        with suppress(asyncio.CancelledError):
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        for end in (writer, up_writer):
            end.close()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Link:
    """One connection of the daemon."""

    def __init__(
        self,
        wire: Wire,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        up_reader: asyncio.StreamReader,
        up_writer: asyncio.StreamWriter,
    ) -> None:
        self.wire = wire
        self.reader, self.writer, self.up_reader, self.up_writer = reader, writer, up_reader, up_writer
        self.waits_for: Cut | None = None  # a late cut whose command is with Redis now

    async def upwards(self) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                raw, command = await _read_command(self.reader)
                cut = self.wire._cut
                if cut is not None and cut.meets(command):
                    if not cut.late:
                        await self.wire._spring()
                        return
                    self.waits_for = cut
                self.up_writer.write(raw)
                await self.up_writer.drain()

    async def downwards(self) -> None:
        with suppress(ConnectionError):
            while data := await self.up_reader.read(65536):
                if self.waits_for is not None and self.waits_for is self.wire._cut:
                    if not data.startswith(b"-NOSCRIPT") and self.waits_for.answer in data:
                        await self.wire._spring()
                        return
                    self.waits_for = None
                self.writer.write(data)
                await self.writer.drain()


async def _read_command(reader: asyncio.StreamReader) -> tuple[bytes, Command]:
    """A command as clients send it: an array of bulk strings. Raises: IncompleteReadError at the end."""
    head = await reader.readuntil(b"\r\n")
    raw, parts = [head], []
    for _ in range(int(head[1:])):
        size = await reader.readuntil(b"\r\n")
        body = await reader.readexactly(int(size[1:]) + 2)
        raw += [size, body]
        parts.append(body[:-2])
    return b"".join(raw), parts


@asynccontextmanager
async def wire_to(port: int) -> AsyncIterator[Wire]:
    """A wire to the Redis at a port of this host."""
    wire = Wire(port)
    links: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(wire.carry(reader, writer))
        links.add(task)
        task.add_done_callback(links.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    wire.port = server.sockets[0].getsockname()[1]
    try:
        yield wire
    finally:
        server.close()
        for task in list(links):
            task.cancel()
        await asyncio.gather(*links, return_exceptions=True)
        await server.wait_closed()
