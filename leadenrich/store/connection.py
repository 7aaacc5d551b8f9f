"""Redis, opened with every timeout, retry and pool value said: the library's defaults are traps for a queue.

Two clients: commands share a pool that waits instead of raising; the blocking listener has one of its own, whose
answers take as long as they take.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import backoff
import redis.asyncio as aioredis
import structlog
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
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
from leadenrich.store.errors import StoreRefused, StoreUnavailable

COMMAND_TIMEOUT_S = 2.0
WATCHDOG_S = 5.0  # how much longer than asked a blocking command may take before its connection counts as dead
CONNECTIONS = 32
OLDEST_VERSION = (6, 2)

log = structlog.get_logger("leadenrich.store")

# What Redis answers when it cannot serve now, as opposed to "your command is wrong": the library has a class for some
# and takes the code off their text, keeps it for others, and inside a script's error the code stands in the middle.
_NOT_NOW_CLASSES = (OutOfMemoryError, ReadOnlyError, MasterDownError, ClusterDownError, TryAgainError)
_NOT_NOW = ("MISCONF", "NOREPLICAS", "BUSY ", "OOM ")
_NOT_NOW_IN_SCRIPT = ("-OOM", "allow-oom", "OOM command not allowed", "-MISCONF", "-READONLY")


@dataclass(frozen=True, slots=True)
class Durability:
    """What the Redis found would keep over a crash or a power cut."""

    version: tuple[int, ...]
    append_only: bool
    append_fsync: str
    policy: str
    embedded: bool = False


class Connection:
    """Commands, with errors in our words. `embedded` is fakeredis: nothing outlives the process."""

    def __init__(self, commands: aioredis.Redis, listener: aioredis.Redis, *, embedded: bool) -> None:
        self._commands = commands
        self._listener = listener
        self._listener_id: int | None = None
        self.embedded = embedded
        self.script_flags = False
        self.version: tuple[int, ...] = (0,)

    async def execute(self, *command: Any) -> Any:
        """One command. Raises: StoreUnavailable; NoScriptError; ResponseError for a command that is wrong."""
        return await _guard(self._commands.execute_command(*command))  # type: ignore[no-untyped-call]

    async def block(self, *command: Any, within_s: float) -> Any:
        """A command that waits up to `within_s` in Redis, on a connection of its own. Raises: StoreUnavailable."""
        try:
            async with asyncio.timeout(within_s + WATCHDOG_S):
                if not self.embedded:
                    self._listener_id = await _guard(self._listener.execute_command("CLIENT", "ID"))  # type: ignore[no-untyped-call]
                return await _guard(self._listener.execute_command(*command))  # type: ignore[no-untyped-call]
        except TimeoutError as error:  # half open: the other side is gone and nobody told us
            raise StoreUnavailable("Redis: the connection that waits for leads is dead") from error

    async def unblock(self) -> None:
        """Ends the listener's wait as if its time were over. Cancelling it instead could eat a marker."""
        if self._listener_id is not None:
            with contextlib.suppress(ResponseError, StoreUnavailable):
                await self.execute("CLIENT", "UNBLOCK", self._listener_id)

    def pipeline(self) -> aioredis.client.Pipeline:
        """Several commands in one round trip, not a transaction. Run it with `flush`."""
        return self._commands.pipeline(transaction=False)

    @staticmethod
    async def flush(pipeline: aioredis.client.Pipeline) -> list[Any]:
        """Raises: StoreUnavailable."""
        answers: list[Any] = await _guard(pipeline.execute())
        return answers

    @staticmethod
    def may_have_run(cause: BaseException) -> bool:
        """Whether Redis may have run the command although we got no answer."""
        return isinstance(cause, RedisConnectionError | RedisTimeoutError | OSError) and not isinstance(
            cause, AuthenticationError
        )

    async def probe(self) -> Durability:
        """Asks Redis what it is and what it would keep. Raises: StoreUnavailable."""
        if self.embedded:
            return Durability((7, 0), False, "no", "noeviction", embedded=True)
        info = await self.execute("INFO", "server")
        self.version = tuple(int(part) for part in str(info["redis_version"]).split(".")[:3])
        self.script_flags = self.version >= (7,)
        persistence, memory = await self.execute("INFO", "persistence"), await self.execute("INFO", "memory")
        fsync = "unknown"
        with contextlib.suppress(ResponseError):  # an ACL user may not read the configuration
            answer = await self.execute("CONFIG", "GET", "appendfsync")
            fsync = _text(dict(answer).get("appendfsync") or dict(answer).get(b"appendfsync") or b"unknown")
        return Durability(
            self.version, bool(persistence.get("aof_enabled")), fsync, _text(memory.get("maxmemory_policy", "unknown"))
        )

    async def close(self) -> None:
        await self._commands.aclose()
        await self._listener.aclose()


@contextlib.asynccontextmanager
async def open_redis(settings: RedisSettings) -> AsyncIterator[Connection]:
    """Connects, waiting up to `connect_timeout` for a Redis that is still starting.

    Raises: StoreUnavailable (not there), StoreRefused (there, but would lose leads).
    """
    connection = _embedded() if settings.url.startswith("fakeredis://") else _clients(settings.url)
    try:
        durability = await _wait_for(connection, settings.connect_timeout)
        judge(durability, allow_volatile=settings.allow_volatile)
        yield connection
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
    )
    async def ask() -> Durability:
        return await connection.probe()

    return await ask()


def judge(durability: Durability, *, allow_volatile: bool) -> None:
    """Says what a crash can cost with this Redis. Raises: StoreRefused."""
    if durability.embedded:
        log.warning("redis_embedded", note="embedded Redis: nothing outlives this process")
        return
    version = ".".join(map(str, durability.version))
    if durability.version < OLDEST_VERSION:
        raise StoreRefused(f"Redis {version} is too old: 6.2 or newer is needed")
    if not durability.append_only:
        if not allow_volatile:
            raise StoreRefused(
                "Redis keeps no append-only file, so acknowledged leads would be lost with it: set `appendonly yes` "
                "in redis.conf, or redis.allow_volatile = true if losing them is acceptable"
            )
        log.warning("redis_volatile", note="no append-only file: leads are lost when Redis ends")
    elif durability.append_fsync != "always":
        log.warning(
            "redis_fsync",
            appendfsync=durability.append_fsync,
            note="a power cut can cost the last second or two of acknowledged leads; `appendfsync always` keeps all",
        )
    if durability.policy not in ("noeviction", "unknown"):
        log.warning(
            "redis_evicts",
            maxmemory_policy=durability.policy,
            note="Redis may evict leads when memory is short: set `maxmemory-policy noeviction`",
        )


def _clients(url: str) -> Connection:
    common: dict[str, Any] = {
        "socket_connect_timeout": COMMAND_TIMEOUT_S,
        "socket_keepalive": True,
        "retry": Retry(NoBackoff(), 0),
        "retry_on_error": [],
        "client_name": "leadenrich",
    }
    if url.startswith("unix://"):
        common.pop("socket_keepalive")
        common.pop("socket_connect_timeout")
    commands = aioredis.BlockingConnectionPool.from_url(
        url,
        max_connections=CONNECTIONS,
        timeout=COMMAND_TIMEOUT_S,
        socket_timeout=COMMAND_TIMEOUT_S,
        health_check_interval=15,
        **common,
    )
    listener = aioredis.ConnectionPool.from_url(url, max_connections=2, socket_timeout=None, **common)
    return Connection(aioredis.Redis.from_pool(commands), aioredis.Redis.from_pool(listener), embedded=False)


def _embedded() -> Connection:
    import fakeredis

    server = fakeredis.FakeServer()
    return Connection(fakeredis.FakeAsyncRedis(server=server), fakeredis.FakeAsyncRedis(server=server), embedded=True)


async def _guard(awaitable: Any) -> Any:
    try:
        return await awaitable
    except NoScriptError:
        raise
    except ResponseError as error:
        text = str(error)
        in_script = any(sign in text for sign in _NOT_NOW_IN_SCRIPT)
        if isinstance(error, _NOT_NOW_CLASSES) or text.startswith(_NOT_NOW) or in_script:
            raise StoreUnavailable(_say(error)) from error
        raise
    except (TimeoutError, RedisError, OSError) as error:
        raise StoreUnavailable(_say(error)) from error


def _say(error: BaseException) -> str:
    return f"Redis: {str(error) or type(error).__name__}"


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
