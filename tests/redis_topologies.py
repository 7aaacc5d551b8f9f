"""Several real redis-servers that act as one: a master with replica and Sentinel, a Cluster. No redis-cli needed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis import Redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS
from redis.exceptions import RedisError
from redis_server import RedisServer, binary, free_port

SERVICE = "lead-store"
DOWN_AFTER_MS = 500
NODE_TIMEOUT_MS = 1000


class SentinelServer(RedisServer):
    """Watches one master; alone it is quorum enough, unless told otherwise."""

    def __init__(
        self, folder: Path, master: RedisServer, *lines: str, quorum: int = 1, down_after_ms: int = DOWN_AFTER_MS
    ) -> None:
        super().__init__(folder)
        self.file = folder / "sentinel.conf"
        self.file.write_text(
            f"sentinel monitor {SERVICE} 127.0.0.1 {master.port} {quorum}\n"
            f"sentinel down-after-milliseconds {SERVICE} {down_after_ms}\n"
            f"sentinel failover-timeout {SERVICE} 3000\n" + "".join(f"{line}\n" for line in lines)
        )

    def command(self) -> list[str]:
        return [binary(), str(self.file), "--sentinel", "--port", str(self.port), "--bind", "127.0.0.1", "--dir",
                str(self.folder)]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Watched:
    """A master, its replica, and the Sentinel that watches both."""

    master: RedisServer
    replica: RedisServer
    sentinel: SentinelServer

    @property
    def url(self) -> str:
        # The first one named is nobody: a Sentinel that is down must not matter.
        return f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{self.sentinel.port}/{SERVICE}/0"


@contextlib.contextmanager
def watched_master(folder: Path) -> Iterator[Watched]:
    for name in ("master", "replica", "sentinel"):
        (folder / name).mkdir()
    with contextlib.ExitStack() as stack:
        master = RedisServer(folder / "master", "--repl-diskless-sync-delay", "0")
        replica = RedisServer(folder / "replica", "--replicaof", "127.0.0.1", str(master.port))
        stack.enter_context(killed_at_the_end(master))
        stack.enter_context(killed_at_the_end(replica))
        wait_for(lambda: ask(replica, "INFO", "replication")["master_link_status"] == "up")
        sentinel = SentinelServer(folder / "sentinel", master)
        stack.enter_context(killed_at_the_end(sentinel))
        ask(sentinel, "SENTINEL", "DEBUG", "INFO-PERIOD", 100)  # by default it looks at the replica every 10 s
        wait_for(lambda: len(ask(sentinel, "SENTINEL", "REPLICAS", SERVICE)) == 1)
        yield Watched(master, replica, sentinel)


class ClusterNodes(list[RedisServer]):
    """Primaries in order of their slots, thirds of all; then what replicas there are."""

    @property
    def url(self) -> str:
        return f"redis+cluster://{','.join(f'127.0.0.1:{node.port}' for node in self)}"


@contextlib.contextmanager
def cluster(folder: Path, *, primaries: int = 3, more: int = 0) -> Iterator[ClusterNodes]:
    """Stands when every node says so. `more` nodes hold no slots: replicas to be."""
    with contextlib.ExitStack() as stack:
        nodes = ClusterNodes(stack.enter_context(_node(folder / f"node{n}")) for n in range(primaries + more))
        bounds = [REDIS_CLUSTER_HASH_SLOTS * number // primaries for number in range(primaries + 1)]
        for number, node in enumerate(nodes):
            if number < primaries:
                ask(node, "CLUSTER", "ADDSLOTSRANGE", bounds[number], bounds[number + 1] - 1)
            ask(node, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            _meet(nodes[0], node)
        wait_for(lambda: all(_ready(node, len(nodes)) for node in nodes))
        yield nodes


@contextlib.contextmanager
def joined(folder: Path, nodes: ClusterNodes) -> Iterator[RedisServer]:
    """One more primary, without slots."""
    with _node(folder) as node:
        _meet(nodes[0], node)
        wait_for(lambda: all(_ready(one, len(nodes) + 1) for one in (node, *nodes)))
        yield node


def replicate(replica: RedisServer, primary: RedisServer) -> None:
    ask(replica, "CLUSTER", "REPLICATE", node_id(primary))
    wait_for(lambda: ask(replica, "INFO", "replication").get("master_link_status") == "up")


def _node(folder: Path) -> contextlib.AbstractContextManager[RedisServer]:
    folder.mkdir(parents=True)
    node = RedisServer(
        folder, "--cluster-enabled", "yes", "--cluster-port", str(free_port()), "--cluster-node-timeout",
        str(NODE_TIMEOUT_MS), "--repl-diskless-sync-delay", "0",
    )  # fmt: skip
    return killed_at_the_end(node)


@contextlib.contextmanager
def killed_at_the_end(server: RedisServer) -> Iterator[RedisServer]:
    """Asked to end, one with replicas would wait for them, up to 10 s."""
    server.start()
    try:
        yield server
    finally:
        server.kill()


def _meet(one: RedisServer, other: RedisServer) -> None:
    if one is not other:
        bus = ask(other, "CONFIG", "GET", "cluster-port")["cluster-port"]
        ask(one, "CLUSTER", "MEET", "127.0.0.1", other.port, bus)


def _ready(node: RedisServer, size: int) -> bool:
    told = ask(node, "CLUSTER", "INFO")
    return told["cluster_state"] == "ok" and int(told["cluster_known_nodes"]) == size


def node_id(node: RedisServer) -> str:
    found: str = ask(node, "CLUSTER", "MYID")
    return found


def ask(server: RedisServer, *command: Any) -> Any:
    """One command on one server, whatever it is part of."""
    with Redis(port=server.port, decode_responses=True, socket_timeout=5) as client:
        return client.execute_command(_name(command), *command[_words(command) :])


def _words(command: Sequence[Any]) -> int:
    return 2 if command[0] in ("CLUSTER", "CONFIG", "SENTINEL") else 1


def _name(command: Sequence[Any]) -> str:
    return " ".join(str(word) for word in command[: _words(command)])


def wait_for(fact: Callable[[], object], *, within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while True:
        with contextlib.suppress(RedisError, OSError):
            if fact():
                return
        assert time.monotonic() < deadline, f"did not come within {within_s} s"
        time.sleep(0.02)
