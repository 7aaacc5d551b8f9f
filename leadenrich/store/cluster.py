"""Redis Cluster: each command goes to the primary that holds its key, and follows MOVED and ASK.

Over plain clients, one a node, instead of redis-py's RedisCluster (8.1): that one raises where a pool is full, closes
connections in use by others when it reads the map of slots again, and sends ASKING over one connection and the command
over another, so that with two idle connections a moved key was never reached. Its retry setting 0 would have served:
redirects are none of its retries.

What no client can mend: a script that finds a job's key moved away stops half done. So the queue's own slot is moved
key by key only while the daemons are stopped; the other slots hold what is bought and counted, and may move any time.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import redis.asyncio as aioredis
from redis.asyncio.client import Pipeline
from redis.asyncio.connection import parse_url
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import (
    AskError,
    AuthenticationError,
    ClusterDownError,
    ClusterError,
    ConnectionError as RedisConnectionError,
    MovedError,
    RedisError,
    TimeoutError as RedisTimeoutError,
    TryAgainError,
)

from leadenrich.config.redis_urls import Node, RedisAddress
from leadenrich.store.servers import command_options, common_options, listener_options

HOPS_MAX = 8
TRY_AGAIN_S = 0.05  # a slot is on its way to another node: some of the keys are here, some there

# No key tells where these go: to every primary. The first answer counts, an error of any does.
_EVERYWHERE = frozenset({"PING", "FLUSHALL", "FLUSHDB", "SCRIPT"})
_NEEDS_A_NODE = frozenset({"SCAN", "KEYS", "DBSIZE", "RANDOMKEY", "INFO", "CONFIG", "CLIENT", "TIME", "WAIT"})


class ClusterServers:
    """Knows which primary holds which slot, as told by the last node asked and by redirects since."""

    def __init__(self, address: RedisAddress) -> None:
        self._seeds = address.nodes
        options = dict(parse_url(address.node_url))
        for name in ("host", "port", "db"):
            options.pop(name, None)
        self._options = common_options() | options
        self._clients: dict[Node, aioredis.Redis] = {}
        self._listeners: dict[Node, aioredis.Redis] = {}
        self._owners: list[Node] = []  # by slot; empty: to be asked for
        self._known: list[Node] = []  # primaries and replicas of the last map, the one that failed last at the end
        self._asking = asyncio.Lock()
        self._waiting: tuple[Node, int] | None = None

    async def run(self, *command: Any, **options: Any) -> Any:
        """Raises: ClusterError when redirects lead nowhere; ValueError for a command that needs a node's name."""
        if command[0] in _EVERYWHERE:
            return (await self.run_everywhere(*command))[0]

        async def send(node: Node, asking: bool) -> Any:
            client = self._client(node)
            if not asking:
                return await client.execute_command(*command, **options)  # type: ignore[no-untyped-call]
            batch = client.pipeline(transaction=False)  # both over one connection
            batch.execute_command("ASKING")
            batch.execute_command(*command, **options)
            return (await batch.execute())[1]

        return await self._routed(_slot(command), send)

    async def run_everywhere(self, *command: Any) -> list[Any]:
        async def send(node: Node) -> Any:
            with self._watched(node):
                return await self._client(node).execute_command(*command)  # type: ignore[no-untyped-call]

        return list(await asyncio.gather(*(send(node) for node in sorted(set(await self._map())))))

    async def block(self, *command: Any) -> Any:
        async def send(node: Node, asking: bool) -> Any:
            client = self._listener(node)
            self._waiting = node, await client.execute_command("CLIENT", "ID")  # type: ignore[no-untyped-call]
            return await client.execute_command(*command)  # type: ignore[no-untyped-call]

        try:
            return await self._routed(_slot(command), send)
        finally:
            self._waiting = None

    async def unblock(self) -> None:
        if self._waiting is not None:
            node, client_id = self._waiting
            await self._client(node).execute_command("CLIENT", "UNBLOCK", client_id)  # type: ignore[no-untyped-call]

    def pipeline(self) -> Pipeline:
        return self._client(self._seeds[0]).pipeline(transaction=False)  # collects only: `flush` finds the nodes

    async def flush(self, pipeline: Pipeline) -> list[Any]:
        """One round trip a slot; a redirected command follows by itself: others of its slot may not have moved yet."""
        commands = list(pipeline.command_stack)
        await pipeline.reset()  # type: ignore[no-untyped-call]
        places: dict[int, list[int]] = {}
        for place, (command, _) in enumerate(commands):
            places.setdefault(_slot(command), []).append(place)
        answers: list[Any] = [None] * len(commands)
        for slot, group in places.items():
            found = await self._send_batch(slot, [commands[place] for place in group])
            for place, answer in zip(group, found, strict=True):
                answers[place] = answer
        return answers

    async def renew(self) -> None:
        self._owners = []
        for client in (*self._clients.values(), *self._listeners.values()):
            await client.connection_pool.disconnect(inuse_connections=False)

    async def close(self) -> None:
        for client in (*self._clients.values(), *self._listeners.values()):
            await client.aclose()

    async def _send_batch(self, slot: int, commands: Sequence[tuple[Any, Any]]) -> list[Any]:
        async def send(node: Node, asking: bool) -> list[Any]:
            batch = self._client(node).pipeline(transaction=False)
            for command, options in commands:
                batch.execute_command(*command, **options)
            answers: list[Any] = await batch.execute(raise_on_error=False)
            return answers

        answers = await self._routed(slot, send)
        for place, (command, options) in enumerate(commands):
            if isinstance(answers[place], AskError | TryAgainError):
                answers[place] = await self.run(*command, **options)
            elif isinstance(answers[place], Exception):
                raise answers[place]
        return answers  # type: ignore[no-any-return]

    async def _routed(self, slot: int, send: Callable[[Node, bool], Awaitable[Any]]) -> Any:
        """`send` is called with the node to go to and whether it must be told that we come by an ASK."""
        node, asking = (await self._map())[slot], False
        for _ in range(HOPS_MAX):
            try:
                with self._watched(node):
                    return await send(node, asking)
            except MovedError as error:
                node, asking = (error.host or node[0], error.port), False
                if self._owners:
                    self._owners[slot] = node
            except AskError as error:
                node, asking = (error.host or node[0], error.port), True
            except TryAgainError:
                await asyncio.sleep(TRY_AGAIN_S)
        raise ClusterError(f"slot {slot} is on the move: no node answered within {HOPS_MAX} redirects")

    async def _map(self) -> list[Node]:
        """The primary of each slot. Raises: ConnectionError when no node tells, ClusterDownError with slots missing."""
        if not self._owners:
            async with self._asking:
                if not self._owners:
                    self._owners = await self._ask_map()
        return self._owners

    async def _ask_map(self) -> list[Node]:
        why: Exception = RedisConnectionError("no node of the Cluster was named")
        for node in dict.fromkeys((*self._known, *self._seeds)):
            try:
                ranges = await self._client(node).execute_command("CLUSTER", "SLOTS")  # type: ignore[no-untyped-call]
                owners = self._learn(node, ranges)
                await self._let_go()
                return owners
            except AuthenticationError:
                raise
            except (RedisError, OSError) as error:
                why = error
        raise why

    def _learn(self, asked: Node, ranges: Sequence[Any]) -> list[Node]:
        owners: list[Node | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        known: dict[Node, None] = {}
        for first, last, *nodes in ranges:
            # A node that does not know its own address leaves it out: it is where we asked.
            named = [((host or b"").decode().replace("?", "") or asked[0], int(port)) for host, port, *_ in nodes]
            known.update(dict.fromkeys(named))
            owners[first : last + 1] = [named[0]] * (last + 1 - first)
        if None in owners:
            raise ClusterDownError(f"CLUSTERDOWN {owners.count(None)} of its slots are held by no node")
        self._known = list(known)
        return [owner for owner in owners if owner is not None]

    async def _let_go(self) -> None:
        """Of nodes that left. What is in use ends by itself; the client stays, as the node may come back."""
        for node, client in self._clients.items():
            if node not in self._known:
                await client.connection_pool.disconnect(inuse_connections=False)

    @contextlib.contextmanager
    def _watched(self, node: Node) -> Iterator[None]:
        """After a failure of the connection, or of the whole, the map is asked for again, of this node last."""
        try:
            yield
        except (RedisConnectionError, RedisTimeoutError, ClusterDownError, OSError):
            self._owners = []
            if node in self._known:
                self._known.remove(node)
                self._known.append(node)
            raise

    def _client(self, node: Node) -> aioredis.Redis:
        if node not in self._clients:
            host, port = node
            pool = aioredis.BlockingConnectionPool(**{**command_options(), **self._options, "host": host, "port": port})
            self._clients[node] = aioredis.Redis.from_pool(pool)
        return self._clients[node]

    def _listener(self, node: Node) -> aioredis.Redis:
        if node not in self._listeners:
            host, port = node
            pool = aioredis.ConnectionPool(**{**self._options, **listener_options(), "host": host, "port": port})
            self._listeners[node] = aioredis.Redis.from_pool(pool)
        return self._listeners[node]


def _slot(command: Sequence[Any]) -> int:
    name = command[0]
    if name in _NEEDS_A_NODE:
        raise ValueError(f"{name} has no key that would tell the node to ask")
    at = 1
    if name in ("EVAL", "EVALSHA"):
        at = 3
    elif name in ("XREAD", "XREADGROUP"):
        at = [str(part) for part in command].index("STREAMS") + 1
    key = command[at]
    return key_slot(key if isinstance(key, bytes) else str(key).encode())
