"""How Redis is reached, with every timeout, retry and pool value said: the library's defaults are traps for a queue.

Two clients: commands share a pool that waits instead of raising; the blocking listener has one of its own, whose
answers take as long as they take. No command is ever sent again down here: who knows that it is safe does it.
"""

from __future__ import annotations

from typing import Any, Protocol

import hiredis
import redis.asyncio as aioredis
from redis.asyncio.client import Pipeline
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig

from leadenrich.config.redis_urls import RedisAddress

COMMAND_TIMEOUT_S = 2.0
SENTINEL_TIMEOUT_S = 0.5  # they are asked one after the other while a command waits: a dead one must not cost it all
CONNECTIONS = 32
HEALTH_CHECK_S = 30  # above what lies between two commands of an idle worker: each would bring a PING
LISTENER_CONNECTIONS = 2  # one waits, one may still be on its way out


class Servers(Protocol):
    """One Redis, or many that act as one. Every method raises what redis-py raises."""

    async def run(self, *command: Any) -> Any:
        """One command, answered by the server that holds its key."""

    async def run_everywhere(self, *command: Any) -> list[Any]:
        """One command on each server that takes writes."""

    async def block(self, *command: Any) -> Any:
        """A command that waits in Redis, on the listener's own connection."""

    async def unblock(self) -> None:
        """Ends the listener's wait on the server where it waits."""

    def pipeline(self) -> Pipeline: ...

    async def flush(self, pipeline: Pipeline) -> list[Any]: ...

    async def renew(self) -> None:
        """Lets go of idle connections, so that the next ones go where the name, or the Sentinels, say now."""

    async def close(self) -> None: ...


class OneServer:
    """A single Redis, or the master that Sentinels name, which their pool asks for at each new connection."""

    def __init__(self, commands: aioredis.Redis, listener: aioredis.Redis, *, sentinel: Sentinel | None = None) -> None:
        self._commands = commands
        self._listener = listener
        self._sentinel = sentinel
        self._waiting: int | None = None

    async def run(self, *command: Any) -> Any:
        return await self._commands.execute_command(*command)  # type: ignore[no-untyped-call]

    async def run_everywhere(self, *command: Any) -> list[Any]:
        return [await self.run(*command)]

    async def block(self, *command: Any) -> Any:
        try:
            # The same connection for both: nobody else takes one of this pool, which hands out the last one returned.
            self._waiting = await self._listener.execute_command("CLIENT", "ID")  # type: ignore[no-untyped-call]
            return await self._listener.execute_command(*command)  # type: ignore[no-untyped-call]
        finally:
            self._waiting = None

    async def unblock(self) -> None:
        if self._waiting is not None:
            await self.run("CLIENT", "UNBLOCK", self._waiting)

    def pipeline(self) -> Pipeline:
        return self._commands.pipeline(transaction=False)

    async def flush(self, pipeline: Pipeline) -> list[Any]:
        answers: list[Any] = await pipeline.execute()
        return answers

    async def renew(self) -> None:
        for client in (self._commands, self._listener):
            await client.connection_pool.disconnect(inuse_connections=False)

    async def close(self) -> None:
        await self._commands.aclose()
        await self._listener.aclose()
        if self._sentinel is not None:
            await self._sentinel.aclose()


class EmbeddedServer(OneServer):
    """fakeredis, which knows no CLIENT commands: a wait there ends by its time only."""

    async def block(self, *command: Any) -> Any:
        return await self._listener.execute_command(*command)  # type: ignore[no-untyped-call]


class _Packed(Connection):
    """Packs commands with hiredis, as the library does where it does not await: half the cost of a long one."""

    def pack_command(self, *args: Any) -> list[bytes]:
        return [hiredis.pack_command(args)]


class _PackedTls(_Packed, SSLConnection):
    """The same over TLS."""


class _PackedUnix(UnixDomainSocketConnection):
    """The same over a local socket."""

    pack_command = _Packed.pack_command


_PACKED = {Connection: _Packed, SSLConnection: _PackedTls, UnixDomainSocketConnection: _PackedUnix}


class _MasterPool(SentinelConnectionPool, aioredis.BlockingConnectionPool):
    """Asks the Sentinels for the master, and waits for a free connection instead of raising."""


def open_single(address: RedisAddress) -> OneServer:
    options = common_options() | _query_options(address)
    options["connection_class"] = _PACKED[options.get("connection_class", Connection)]
    if "path" in options:
        options.pop("socket_keepalive")
    commands = aioredis.BlockingConnectionPool(**{**command_options(), **options})
    options.pop("timeout", None)
    listener = aioredis.ConnectionPool(**{**options, **listener_options()})
    return OneServer(aioredis.Redis.from_pool(commands), aioredis.Redis.from_pool(listener))


def open_sentinel(address: RedisAddress) -> OneServer:
    options = common_options() | _query_options(address)
    for name in ("host", "port"):
        options.pop(name)
    tls = options.pop("connection_class", None) is not None
    of_sentinels = common_options() | {name: value for name, value in options.items() if name.startswith("ssl_")}
    for name in ("username", "password"):
        of_sentinels[name] = options.pop(f"sentinel_{name}", None)
    of_sentinels["ssl"] = options["ssl"] = tls
    of_sentinels["socket_connect_timeout"] = of_sentinels["socket_timeout"] = SENTINEL_TIMEOUT_S
    sentinel = Sentinel(address.nodes, sentinel_kwargs=of_sentinels)  # type: ignore[no-untyped-call]
    commands = sentinel.master_for(address.service, connection_pool_class=_MasterPool, **command_options(), **options)
    listener = sentinel.master_for(address.service, **listener_options(), **options)
    return OneServer(commands, listener, sentinel=sentinel)


def open_embedded() -> OneServer:
    import fakeredis

    server = fakeredis.FakeServer()
    return EmbeddedServer(fakeredis.FakeAsyncRedis(server=server), fakeredis.FakeAsyncRedis(server=server))


def common_options() -> dict[str, Any]:
    return {
        "socket_connect_timeout": COMMAND_TIMEOUT_S,
        "socket_keepalive": True,
        "retry": Retry(NoBackoff(), 0),
        "retry_on_error": [],
        "client_name": "leadenrich",
        # They would let a server stretch our timeouts; and their pools do not look for leftovers on a connection.
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }


def command_options() -> dict[str, Any]:
    return {
        "max_connections": CONNECTIONS,
        "timeout": COMMAND_TIMEOUT_S,  # of the wait for a free connection
        "socket_timeout": COMMAND_TIMEOUT_S,
        "health_check_interval": HEALTH_CHECK_S,
    }


def listener_options() -> dict[str, Any]:
    return {"max_connections": LISTENER_CONNECTIONS, "socket_timeout": None, "health_check_interval": 0}


def _query_options(address: RedisAddress) -> dict[str, Any]:
    return dict(parse_url(address.node_url))
