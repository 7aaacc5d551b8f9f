"""One Redis for a simulated world, and the wire that each daemon reaches it by: late, cut, lost, dead."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import fakeredis
from redis.exceptions import ConnectionError as RedisConnectionError, TimeoutError as RedisTimeoutError

from simulation.clock import VirtualTime

TIMEOUT_S = 2.0


@dataclass(eq=False, slots=True)
class _Waiter:
    """A BZPOPMIN under way."""

    key: str
    answer: asyncio.Future[Any]
    wire: Wire


class SimulatedRedis:
    """fakeredis, one command at a moment. `trouble` is the share of commands that meet a fault on their way."""

    def __init__(self, clock: VirtualTime, rng: Random) -> None:
        self.clock = clock
        self.rng = rng
        self.trouble = 0.0
        self.up = True
        self.commands = 0
        self.fate_of: Callable[[tuple[Any, ...]], str] = lambda command: ""  # a scene's own fault for a command
        self._server = fakeredis.FakeServer(version=(7,))
        self._client = fakeredis.FakeRedis(server=self._server)
        self._waiters: deque[_Waiter] = deque()

    def execute(self, *command: Any) -> Any:
        """Runs now, whoever asked."""
        self.commands += 1
        with self.clock.in_redis():
            answer = self._client.execute_command(*command)
        self._serve()
        return answer

    def flush(self, pipeline: Any) -> list[Any]:
        with self.clock.in_redis():
            answers: list[Any] = pipeline.execute()
        self._serve()
        return answers

    def pipeline(self) -> Any:
        return self._client.pipeline(transaction=False)

    def wait(self, waiter: _Waiter, timeout_s: float) -> None:
        """Redis waits for its whole time, even for a client that is no longer there and was never heard to go."""
        self._waiters.append(waiter)
        asyncio.get_running_loop().call_later(timeout_s, self.give_up, waiter)
        self._serve()

    def give_up(self, waiter: _Waiter) -> None:
        """Its time is over."""
        self.forget(lambda other: other is waiter)
        if not waiter.answer.done():
            waiter.answer.set_result(None)

    def forget(self, waits: Callable[[_Waiter], bool]) -> list[_Waiter]:
        """Takes back waiters: their connection is gone, or their time is over."""
        gone = [waiter for waiter in self._waiters if waits(waiter)]
        self._waiters = deque(waiter for waiter in self._waiters if not waits(waiter))
        return gone

    def go_down(self) -> None:
        self.up = False
        for waiter in self.forget(lambda waiter: True):
            waiter.wire.lose(waiter.answer)

    def come_back(self) -> None:
        """Started again: the data is there, the scripts are not."""
        self.up = True
        self._server.script_cache.clear()

    def _serve(self) -> None:
        for waiter in list(self._waiters):
            with self.clock.in_redis():
                popped = self._client.execute_command("ZPOPMIN", waiter.key)
            if popped:
                self._waiters.remove(waiter)
                if not waiter.answer.done():
                    waiter.answer.set_result(popped)


class Wire:
    """One daemon's connections, as leadenrich.store.servers.Servers. `cut` when its process was killed."""

    def __init__(self, redis: SimulatedRedis) -> None:
        self._redis = redis
        self.cut = False

    async def run(self, *command: Any) -> Any:
        return await self._travel(lambda: self._redis.execute(*command), self._redis.fate_of(command))

    async def run_everywhere(self, *command: Any) -> list[Any]:
        return [await self.run(*command)]

    def pipeline(self) -> Any:
        return self._redis.pipeline()

    async def flush(self, pipeline: Any) -> Any:
        return await self._travel(lambda: self._redis.flush(pipeline))

    async def block(self, *command: Any) -> Any:
        _, key, timeout_s = command
        self._must_be_alive()
        waiter = _Waiter(key, asyncio.get_running_loop().create_future(), self)
        await self._travel(lambda: self._redis.wait(waiter, float(timeout_s)))
        try:
            return await waiter.answer
        finally:
            if not self.cut:
                self._redis.forget(lambda other: other is waiter)

    async def unblock(self) -> None:
        for waiter in self._redis.forget(lambda waiter: waiter.wire is self):
            self._redis.give_up(waiter)

    async def renew(self) -> None:
        pass

    async def close(self) -> None:
        pass

    def kill(self, *, unheard: bool) -> None:
        """The process is gone: what it had sent may still be carried out, nothing more is sent.

        `unheard`: the whole host is, and nobody closed its connections: a wait of it goes on in Redis.
        """
        self.cut = True
        if not unheard:
            self._redis.forget(lambda waiter: waiter.wire is self)

    @staticmethod
    def lose(answer: asyncio.Future[Any]) -> None:
        if not answer.done():
            answer.set_exception(RedisConnectionError("Connection closed by server."))
            answer.exception()  # whoever asked may be gone

    def _must_be_alive(self) -> None:
        if self.cut:
            raise asyncio.CancelledError

    async def _travel(self, act: Callable[[], Any], fate: str = "") -> Any:
        self._must_be_alive()
        loop, rng = asyncio.get_running_loop(), self._redis.rng
        if rng.random() < self._redis.trouble:
            fate = rng.choice(("before", "after", "late", "late"))
        answer: asyncio.Future[Any] = loop.create_future()
        there_s = rng.choice((0.0001, 0.0001, 0.0002, 0.001)) if fate != "late" else rng.uniform(0.1, 4.0)
        loop.call_later(there_s, self._arrive, act, answer, fate)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await answer
        except TimeoutError:
            raise RedisTimeoutError("Timeout reading from socket") from None

    def _arrive(self, act: Callable[[], Any], answer: asyncio.Future[Any], fate: str) -> None:
        """Carried out although nobody may wait for it any more: the command was on its way."""
        if not self._redis.up or fate == "before":
            self.lose(answer)
            return
        try:
            value = act()
        except Exception as error:  # noqa: BLE001 - what Redis answers, an error too, is the caller's
            if not answer.done():
                answer.set_exception(error)
                answer.exception()
            return
        if fate == "after":
            self.lose(answer)
        elif not answer.done():
            answer.set_result(value)
