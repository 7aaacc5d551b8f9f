"""What the rest of the store is told when Redis cannot serve, and what is let go of then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop
from queue_desk import Desk
from redis import exceptions as redis_errors
from redis.asyncio.client import Pipeline
from redis_server import RedisServer, running
from redis_topologies import ask, wait_for

from leadenrich.config import QueueSettings, RedisSettings
from leadenrich.store.connection import Connection, open_redis
from leadenrich.store.durability import Durability, ask_durability
from leadenrich.store.errors import StoreUnavailable
from leadenrich.store.queue import Queue
from leadenrich.store.scripts import Script


class OneAnswer:
    """Servers that answer one way, and note when their connections were to be let go of."""

    def __init__(self, answer: Exception | None) -> None:
        self._answer = answer
        self.renewed = 0

    async def run(self, *command: Any) -> Any:
        if self._answer is not None:
            raise self._answer
        return b"answer"

    async def run_everywhere(self, *command: Any) -> list[Any]:
        return [await self.run(*command)]

    async def block(self, *command: Any) -> Any:
        return await self.run(*command)

    async def unblock(self) -> None:
        await self.run()

    def pipeline(self) -> Pipeline:
        raise NotImplementedError

    async def flush(self, pipeline: Pipeline) -> list[Any]:
        return [await self.run()]

    async def renew(self) -> None:
        self.renewed += 1

    async def close(self) -> None: ...


@pytest.mark.parametrize(
    ("error", "renews"),
    [
        (redis_errors.ConnectionError("Connection closed by server."), False),
        (redis_errors.TimeoutError("Timeout reading"), False),
        (redis_errors.BusyLoadingError("Redis is loading the dataset in memory"), False),
        (redis_errors.AuthenticationError("invalid username-password pair"), False),
        (redis_errors.MaxConnectionsError("Too many connections"), False),
        (OSError(113, "No route to host"), False),
        (redis_errors.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."), False),
        (redis_errors.ResponseError("MISCONF Redis is configured to save RDB snapshots"), False),
        (redis_errors.ResponseError("NOREPLICAS Not enough good replicas to write."), False),
        (redis_errors.ResponseError("BUSY Redis is busy running a script."), False),
        (redis_errors.ResponseError("UNBLOCKED force unblock from blocking operation, instance state changed"), False),
        (redis_errors.ResponseError("ERR Script attempted to access a non local key in a cluster node"), False),
        (redis_errors.ClusterDownError("CLUSTERDOWN The cluster is down"), False),
        (redis_errors.ClusterError("slot 1 is on the move"), False),
        (redis_errors.TryAgainError("Multiple keys request during rehashing of slot"), False),
        (redis_errors.MovedError("1 127.0.0.1:7000"), False),
        (redis_errors.MasterDownError("Link with MASTER is down"), False),
        (redis_errors.ReadOnlyError("You can't write against a read only replica."), True),
        (redis_errors.ResponseError("ERR Error running script: @user_script:1: -READONLY You can't write"), True),
        (redis_errors.ConnectionError("The previous master is now a slave"), True),
    ],
)
async def test_not_now_is_told_from_a_wrong_command(error: Exception, renews: bool) -> None:
    servers = OneAnswer(error)
    connection = Connection(servers, embedded=False)
    errors: list[None] = []
    connection.on_error = lambda: errors.append(None)
    with pytest.raises(StoreUnavailable) as told:
        await connection.execute("GET", "k")
    assert told.value.__cause__ is error
    assert (servers.renewed > 0, len(errors)) == (renews, 1)
    await connection.unblock()  # what ends a wait never fails


@pytest.mark.parametrize(
    "error",
    [
        redis_errors.ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"),
        redis_errors.ResponseError("BUSYGROUP Consumer Group name already exists"),
        redis_errors.NoScriptError("No matching script."),
    ],
)
async def test_a_wrong_command_stays_what_it_is(error: Exception) -> None:
    connection = Connection(OneAnswer(error), embedded=False)
    connection.on_error = lambda: pytest.fail("Redis did answer")
    with pytest.raises(type(error)):
        await connection.execute("GET", "k")


async def test_a_script_is_heard_with_its_seconds(connection: Connection) -> None:
    heard: list[tuple[str, float]] = []
    connection.on_script = lambda verb, seconds: heard.append((verb, seconds))
    connection.on_error = lambda: pytest.fail("nothing went wrong")
    await Script(connection, "spend")(["{k}", "{k}:asked"], [1, 0])
    assert [verb for verb, _ in heard] == ["spend"]
    assert 0 < heard[0][1] < 5


async def test_a_script_that_failed_is_heard_once_and_each_lost_answer_counted() -> None:
    """A lost answer is asked for once more: two errors, one script."""
    heard: list[str] = []
    connection = Connection(OneAnswer(redis_errors.ConnectionError("lost")), embedded=False)
    connection.on_script = lambda verb, seconds: heard.append(verb)
    connection.on_error = lambda: heard.append("error")
    with pytest.raises(StoreUnavailable):
        await Script(connection, "spend")(["{k}", "{k}:asked"], [1, 0])
    assert heard == ["error", "error", "spend"]


# --- a master that steps down, without Sentinels ---------------------------------------------------------------------


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with running(tmp_path, "--unixsocket", str(tmp_path / "redis.sock")) as started:
        yield started


@pytest.fixture
async def desk(server: RedisServer) -> AsyncIterator[Desk]:
    async with open_redis(RedisSettings(url=server.url)) as connection:
        queue = Queue(connection, QueueSettings(), worker="w1")
        await queue.open()
        yield Desk(connection, queue)


async def test_connections_to_a_demoted_master_are_let_go_of(desk: Desk, server: RedisServer) -> None:
    """The name may lead elsewhere by now: nothing stays bound to the old one."""
    await desk.new("before")
    bound = await desk.connection.execute("CLIENT", "ID")
    assert await desk.connection.execute("CLIENT", "ID") == bound
    waiting = asyncio.create_task(desk.queue.wait(20))
    await waiting  # the marker of the lead above
    waiting = asyncio.create_task(desk.queue.wait(20))
    await asyncio.to_thread(wait_for, lambda: ask(server, "INFO", "clients")["blocked_clients"] == 1)

    ask(server, "REPLICAOF", "127.0.0.1", 1)
    with pytest.raises(StoreUnavailable):
        await waiting  # who waits on a demoted master is told so
    with pytest.raises(StoreUnavailable):
        await desk.submit("during")
    ask(server, "REPLICAOF", "NO", "ONE")
    await desk.new("after")
    assert await desk.connection.execute("CLIENT", "ID") != bound


async def test_a_socket_is_as_good_as_a_port(server: RedisServer) -> None:
    async with open_redis(RedisSettings(url=f"unix://{server.folder / 'redis.sock'}?db=3")) as connection:
        assert await connection.execute("SET", "k", "v")
    assert ask(server, "INFO", "keyspace").keys() == {"db3"}


# --- what would be kept ----------------------------------------------------------------------------------------------


def primary(version: str = "8.2.0", aof: int = 1, fsync: str = "always", policy: str = "noeviction") -> dict[str, Any]:
    return {"redis_version": version, "aof_enabled": aof, "appendfsync": fsync, "maxmemory_policy": policy}


async def told_by(*primaries: dict[str, Any], config: bool = True) -> Durability:
    async def ask(*command: Any) -> list[Any]:
        if command[0] == "CONFIG" and not config:
            raise redis_errors.NoPermissionError("this user has no permissions")
        return list(primaries)

    return await ask_durability(ask)


async def test_of_several_the_worst_counts() -> None:
    good = primary()
    assert await told_by(good, good) == Durability((8, 2, 0), True, "always", "noeviction")
    assert (await told_by(good, primary(version="6.0.16"))).version == (6, 0, 16)
    assert not (await told_by(primary(aof=0), good)).append_only
    assert (await told_by(good, primary(fsync="everysec"))).append_fsync == "everysec"
    assert (await told_by(primary(fsync="no"), primary(fsync="everysec"))).append_fsync == "no"
    assert (await told_by(good, primary(policy="allkeys-lru"))).policy == "allkeys-lru"
    assert (await told_by(good, config=False)).append_fsync == "unknown"


class ClosedBeforeTheWrite(OneAnswer):
    """A connection that ends between its opening and the first command, as those to a Redis that is killed do."""

    async def run(self, *command: Any) -> Any:
        server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
        async with server:
            _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.transport.abort()
            await writer.wait_closed()
            writer.writelines([b"PING\r\n"])
        return b"answer"


def test_a_connection_closed_before_the_write_is_a_redis_that_is_away() -> None:
    """uvloop's RuntimeError made the answer to a webhook a 500, and of a job's try a mistake of ours."""
    connection = Connection(ClosedBeforeTheWrite(None), embedded=False)
    away = pytest.raises(StoreUnavailable, match="closed before it was written to")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, away as told:
        runner.run(connection.execute("PING"))
    assert isinstance(told.value.__cause__.__cause__, RuntimeError)  # type: ignore[union-attr]
    assert connection.may_have_run(told.value.__cause__)  # type: ignore[arg-type]


async def test_a_mistake_of_ours_stays_one() -> None:
    with pytest.raises(RuntimeError, match="a mistake"):
        await Connection(OneAnswer(RuntimeError("a mistake")), embedded=False).execute("PING")


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_cancellation_that_nobody_has_heard_yet_is_heard_by_the_next_call(
    loop: str, redis_server: RedisServer
) -> None:
    """Ctrl-C that came just before a call was swallowed by it: an import that waited for Redis went on for ever."""
    told: list[str] = []

    async def cancelled_before_the_call(connection: Connection) -> None:
        asyncio.current_task().cancel()  # type: ignore[union-attr]
        await connection.execute("PING")
        told.append("went on")

    async def cleans_up(connection: Connection) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            told.append((await connection.execute("ECHO", "cleaned up")).decode())

    async def run() -> None:
        async with open_redis(RedisSettings(url=redis_server.url, allow_volatile=True)) as connection:
            with pytest.raises(asyncio.CancelledError):
                await asyncio.create_task(cancelled_before_the_call(connection))
            task = asyncio.create_task(cleans_up(connection))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    factory = uvloop.new_event_loop if loop == "uvloop" else None
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(run())
    assert told == ["cleaned up"]
