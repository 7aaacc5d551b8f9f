"""Redis for the rest of the store: commands with errors in our words, whatever stands behind the address."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import backoff
import structlog
from redis.asyncio.client import Pipeline
from redis.exceptions import (
    AskError,
    AuthenticationError,
    ClusterDownError,
    ConnectionError as RedisConnectionError,
    MasterDownError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError as RedisTimeoutError,
    TryAgainError,
)

from leadenrich.config import RedisSettings
from leadenrich.config.redis_urls import redis_address
from leadenrich.store.cluster import ClusterServers
from leadenrich.store.durability import EMBEDDED, Durability, ask_durability, judge
from leadenrich.store.errors import StoreDenied, StoreUnavailable
from leadenrich.store.memory import Memory, Room, fullest
from leadenrich.store.refusals import is_refusal, what_to_change
from leadenrich.store.servers import Servers, open_embedded, open_sentinel, open_single

log = structlog.get_logger("leadenrich.store")

REFUSED_S = 60.0  # so long what Redis refused us is shown
WATCHDOG_S = 5.0  # how much longer than asked a blocking command may take before its connection counts as dead

# What Redis answers when it cannot serve now, as opposed to "your command is wrong": the library has a class for some
# and takes the code off their text, keeps it for others, and inside a script's error the code stands in the middle.
_NOT_NOW_CLASSES = (OutOfMemoryError, ReadOnlyError, MasterDownError, ClusterDownError, TryAgainError, AskError)
_NOT_NOW = ("MISCONF", "NOREPLICAS", "BUSY ", "OOM ", "UNBLOCKED")
_NOT_NOW_IN_SCRIPT = (
    "-OOM", "allow-oom", "OOM command not allowed", "-MISCONF", "-READONLY", "-NOREPLICAS",
    "non local key",  # a Cluster's slot is being moved away under the script
)  # fmt: skip


class Connection:
    """Commands on the servers behind `redis.url`. `embedded` is fakeredis: nothing outlives the process.

    `on_script` hears each script's verb and its seconds, `on_error` each answer that did not come: both may be set.
    """

    def __init__(self, servers: Servers, *, embedded: bool) -> None:
        self._servers = servers
        self.embedded = embedded
        self.script_flags = False
        self.version: tuple[int, ...] = (0,)
        self.room = Room(self.memory)  # for new leads
        self.on_script: Callable[[str, float], None] = lambda verb, seconds: None
        self.on_error: Callable[[], None] = lambda: None
        self._told: set[str] = set()
        self._refused_at, self._refusal = float("-inf"), ""

    async def execute(self, *command: Any) -> Any:
        """One command. Raises: StoreUnavailable; NoScriptError; ResponseError for a command that is wrong."""
        return await self._guard(self._servers.run(*command))

    async def block(self, *command: Any, within_s: float) -> Any:
        """A command that waits up to `within_s` in Redis, on a connection of its own. Raises: StoreUnavailable."""
        try:
            async with asyncio.timeout(within_s + WATCHDOG_S):
                return await self._guard(self._servers.block(*command))
        except TimeoutError as error:  # half open: the other side is gone and nobody told us
            self.on_error()
            raise StoreUnavailable("Redis: the connection that waits for leads is dead") from error

    async def unblock(self) -> None:
        """Ends the listener's wait as if its time were over. Cancelling it instead could eat a marker."""
        with contextlib.suppress(ResponseError, StoreUnavailable):
            await self._guard(self._servers.unblock())

    def pipeline(self) -> Pipeline:
        """Several commands in one round trip, not a transaction. Run it with `flush`."""
        return self._servers.pipeline()

    async def flush(self, pipeline: Pipeline) -> list[Any]:
        """Raises: StoreUnavailable."""
        answers: list[Any] = await self._guard(self._servers.flush(pipeline))
        return answers

    @staticmethod
    def may_have_run(cause: BaseException) -> bool:
        """Whether Redis may have run the command although we got no answer."""
        return isinstance(cause, RedisConnectionError | RedisTimeoutError | OSError) and not isinstance(
            cause, AuthenticationError
        )

    async def probe(self) -> Durability:
        """Asks Redis what it is and what it would keep; of a Cluster the worst counts. Raises: StoreUnavailable."""
        if self.embedded:
            return EMBEDDED
        durability = await ask_durability(lambda *command: self._guard(self._servers.run_everywhere(*command)))
        self.version = durability.version
        self.script_flags = self.version >= (7,)
        return durability

    async def memory(self) -> Memory:
        """How full Redis is; of a Cluster the fullest counts. Raises: StoreUnavailable."""
        if self.embedded:
            return Memory()
        return fullest(await self._guard(self._servers.run_everywhere("INFO", "memory")))

    async def close(self) -> None:
        await self._servers.close()

    async def _guard(self, answer: Coroutine[Any, Any, Any]) -> Any:
        try:
            return await _to_its_end(answer)
        except NoScriptError:
            raise
        except (TimeoutError, RedisError, OSError) as error:
            refused = is_refusal(error)
            if isinstance(error, ResponseError) and not _not_now(error) and not refused:
                raise
            if _demoted(error):
                # Connections stay bound to the server that was the master: new ones go where it is now.
                with contextlib.suppress(RedisError, OSError):
                    await self._servers.renew()
            self.on_error()
            if refused:
                raise StoreDenied(what_to_change(error)) from error
            raise StoreUnavailable(f"Redis: {str(error) or type(error).__name__}") from error

    def note_refusal(self, error: StoreDenied) -> None:
        """A script of ours was refused. Told once in the log: a webhook is only answered that it must come again."""
        if str(error) not in self._told:
            self._told.add(str(error))
            log.error("redis_refuses", note=str(error))
        self._refused_at, self._refusal = time.monotonic(), str(error)

    def refusal(self) -> str:
        """Why a script of ours was refused within the last minute; "" when none was."""
        return self._refusal if time.monotonic() - self._refused_at < REFUSED_S else ""


async def _to_its_end(answer: Coroutine[Any, Any, Any]) -> Any:
    """The answer; a cancellation that came meanwhile, or that nobody has heard yet, is never lost.

    redis-py sends under asyncio.wait_for, which on Python 3.11 swallows a cancellation that comes just then: loops,
    time limits and the way down would wait for ever. One that was heard before is none any more: who cleans up after
    it may still write. And uvloop tells of a connection that closed before a write by a RuntimeError, as nobody else.
    """
    task = asyncio.current_task()
    cancels = task.cancelling() if task else 0
    if cancels:
        try:
            await asyncio.sleep(0)  # raises where the last one waits to be heard
        except asyncio.CancelledError:
            answer.close()
            raise
    try:
        return await answer
    except RuntimeError as error:
        if "the handler is closed" not in str(error):
            raise
        raise RedisConnectionError("the connection closed before it was written to") from error
    finally:
        if task and task.cancelling() > cancels:
            raise asyncio.CancelledError


@contextlib.asynccontextmanager
async def open_redis(settings: RedisSettings) -> AsyncIterator[Connection]:
    """Connects, waiting up to `connect_timeout` for a Redis that is still starting.

    Raises: StoreUnavailable (not there), StoreRefused (there, but would lose leads).
    """
    connection = _connection(settings.url)
    try:
        durability = await _wait_for(connection, settings.connect_timeout)
        judge(durability, allow_volatile=settings.allow_volatile)
        yield connection
    finally:
        await connection.close()


async def ask_redis(settings: RedisSettings) -> tuple[Durability, Memory]:
    """What stands behind `redis.url`, judged by nobody; asks once. Raises: StoreUnavailable."""
    connection = _connection(settings.url)
    try:
        with _refusals():
            return await connection.probe(), await connection.memory()
    finally:
        await connection.close()


async def _wait_for(connection: Connection, timeout_s: float) -> Durability:
    @backoff.on_exception(
        backoff.expo,
        StoreUnavailable,
        max_time=max(timeout_s, 0.001),
        factor=0.05,
        max_value=1.0,
        jitter=None,
        logger=None,
        giveup=lambda error: isinstance(error, StoreDenied),
    )
    async def ask() -> Durability:
        with _refusals():
            return await connection.probe()

    return await ask()


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    """What Redis says against a new connection's first commands, as what to change. Raises: StoreUnavailable."""
    try:
        yield
    except ResponseError as error:
        raise StoreDenied(what_to_change(error)) from error


def _connection(url: str) -> Connection:
    address = redis_address(url)
    if address.form == "embedded":
        return Connection(open_embedded(), embedded=True)
    if address.form == "cluster":
        return Connection(ClusterServers(address), embedded=False)
    return Connection(open_sentinel(address) if address.form == "sentinel" else open_single(address), embedded=False)


def _not_now(error: ResponseError) -> bool:
    text = str(error)
    in_script = any(sign in text for sign in _NOT_NOW_IN_SCRIPT)
    return isinstance(error, _NOT_NOW_CLASSES) or text.startswith(_NOT_NOW) or in_script


def _demoted(error: Exception) -> bool:
    """Whether the server is no master any more. A pool that Sentinels steer makes a lost connection of it."""
    return isinstance(error, ReadOnlyError) or "-READONLY" in str(error) or "previous master" in str(error)
