"""Redis behind Sentinels and as a Cluster, under a whole daemon with leads coming in: a master dies, slots move."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from daemon_process import people, until
from redis import Redis
from redis.crc import key_slot
from redis.exceptions import RedisError, ResponseError
from redis_server import RedisServer
from redis_topologies import (
    SERVICE,
    ClusterNodes,
    SentinelServer,
    ask,
    cluster,
    killed_at_the_end,
    node_id,
    wait_for,
)

from chaos.costs import succeeded, what_it_cost
from chaos.figures import Figure, Findings, at_most, exactly, told
from chaos.order import Order, findings
from chaos.stage import ALWAYS, KEYS, Reached, Stage, stage_on

DOWN_AFTER_MS = (
    5000  # what Sentinel's own example file sets is 30,000; with less a busy machine is taken for a dead one
)
LEASE_S = 15.0  # longer than a failover: else what is in hand is taken for its owner's death at each
BACK_S = 15.0


# --- a master and two replicas under three Sentinels -----------------------------------------------------------------


@dataclass(slots=True)
class Trio:
    """`servers` are the master of the beginning and its replicas."""

    servers: list[RedisServer]
    sentinels: list[SentinelServer]

    @property
    def url(self) -> str:
        return f"redis+sentinel://{','.join(f'127.0.0.1:{it.port}' for it in self.sentinels)}/{SERVICE}/0"

    def master(self) -> RedisServer:
        """As most of the Sentinels say."""
        named = [int(ask(it, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)[1]) for it in self.sentinels]
        port = max(named, key=named.count)
        return next(it for it in self.servers if it.port == port)

    def replicated(self) -> None:
        """Returns when a replica has all that was written before."""
        with Redis(port=self.master().port, socket_timeout=10) as client:
            client.set("le:replicated", time.monotonic())
            assert client.wait(1, 5000) >= 1

    def mend(self, dead: RedisServer) -> None:
        """The dead one comes back as a replica, and everybody knows of two."""
        dead.options = (*dead.options, "--replicaof", "127.0.0.1", str(self.master().port))
        dead.start()
        wait_for(lambda: int(ask(self.master(), "INFO", "replication")["connected_slaves"]) == 2, within_s=60)


@contextlib.contextmanager
def trio(folder: Path) -> Iterator[Trio]:
    usual = (*ALWAYS, "--repl-diskless-sync-delay", "0", "--min-replicas-to-write", "1")
    for name in ("0", "1", "2", "s0", "s1", "s2"):
        (folder / name).mkdir(parents=True)
    with contextlib.ExitStack() as stack:
        master = RedisServer(folder / "0", *usual)
        replicas = [
            RedisServer(folder / name, *usual, "--replicaof", "127.0.0.1", str(master.port)) for name in ("1", "2")
        ]
        for server in (master, *replicas):
            stack.enter_context(killed_at_the_end(server))
        wait_for(lambda: int(ask(master, "INFO", "replication")["connected_slaves"]) == 2)
        sentinels = [
            SentinelServer(folder / name, master, quorum=2, down_after_ms=DOWN_AFTER_MS) for name in ("s0", "s1", "s2")
        ]
        for sentinel in sentinels:
            stack.enter_context(killed_at_the_end(sentinel))
            ask(sentinel, "SENTINEL", "DEBUG", "INFO-PERIOD", 500)
        wait_for(lambda: all(len(ask(it, "SENTINEL", "SENTINELS", SERVICE)) == 2 for it in sentinels), within_s=30)
        wait_for(lambda: all(len(ask(it, "SENTINEL", "REPLICAS", SERVICE)) == 2 for it in sentinels), within_s=30)
        yield Trio([master, *replicas], sentinels)


async def sentinel(order: Order) -> Findings:
    """The master is killed under load, comes back as a replica, and the next one is killed."""
    kills, began = (1 if order.quick else 5), time.monotonic()
    rng = random.Random(order.seed)
    (order.folder / "redis").mkdir(parents=True)
    with trio(order.folder / "redis") as group:
        async with stage_on(
            Reached(group.url), order.folder, after_s=0.05, seed=order.seed, queue={"lease": LEASE_S}
        ) as scene:
            pair = [scene.daemon("worker-1"), scene.daemon("worker-2")]
            await asyncio.gather(*(daemon.start() for daemon in pair))
            replicated: set[str] = set()
            taken, worked = [], []
            async with leads_keep_coming(scene):
                for _ in range(kills):
                    await asyncio.sleep(rng.uniform(1.0, 3.0))
                    known = set(scene.accepted)
                    await asyncio.to_thread(group.replicated)
                    replicated |= known
                    await asyncio.sleep(rng.uniform(0.0, 0.3))
                    dead, died = group.master(), time.monotonic()
                    dead.kill()
                    before, ended = len(scene.accepted), completions(scene)
                    await until(lambda: len(scene.accepted) > before + 5, "leads are taken again", within_s=60)  # noqa: B023
                    taken.append(time.monotonic() - died)
                    await until(lambda: completions(scene) > ended + 5, "leads end again", within_s=60)  # noqa: B023
                    worked.append(time.monotonic() - died)
                    await asyncio.to_thread(group.mend, dead)
            await scene.all_done(within_s=120)
            found = await scene.jobs()
            lost = {contact for contact, job in found.items() if job is None}
            figures = (
                told("kills of the master, Sentinels, replicas", f"{kills}, 3, 2"),
                told("leads acknowledged, sent again meanwhile", f"{len(found)}, {scene.refusals}"),
                exactly("lost of those that a replica had", len(lost & replicated), 0),
                told("lost of the others, acknowledged just before a kill", f"{len(lost - replicated)} of "
                     f"{len(found) - len(replicated)}"),
                exactly("kept and not enriched", len(found) - len(lost) - succeeded(found), 0),
                exactly("written twice", scene.written_twice(), 0),
                told("bought twice, for the failover lost that it was bought", scene.book.bought_again()),
                at_most("master killed to leads taken again", max(taken), BACK_S, unit=" s"),
                at_most("master killed to leads ended again", max(worked), BACK_S, unit=" s"),
                alive(scene),
            )  # fmt: skip
    note = (
        f"`down-after-milliseconds` is {DOWN_AFTER_MS}, `min-replicas-to-write` 1, `appendfsync always`, "
        f"`queue.lease` {LEASE_S:g}."
    )
    return findings("sentinel", "The master dies behind its Sentinels", order, began, figures, note=note)


# --- a Cluster whose slots move ----------------------------------------------------------------------------------


async def cluster_moves(order: Order) -> Findings:
    """Slots of bought records move under load; the queue's own too, where the server moves a slot in one piece."""
    moves, began = (5 if order.quick else 60), time.monotonic()
    rng = random.Random(order.seed)
    order.folder.mkdir(parents=True)
    own = key_slot(KEYS.meta.encode())
    with cluster(order.folder / "nodes") as nodes:
        async with stage_on(Reached(nodes.url), order.folder, after_s=0.05, seed=order.seed) as scene:
            daemon = scene.daemon("worker-1")
            await daemon.start()
            moved = keys = queue_moves = 0
            async with leads_keep_coming(scene):
                await until(lambda: len(scene.accepted) > 50, "leads come in", within_s=30)
                while moved < moves:
                    slots = await asyncio.to_thread(slots_in_use, nodes)
                    slot = rng.choice(sorted(set(slots) - {own}))
                    source = slots[slot]
                    target = rng.choice([node for node in nodes if node is not source])
                    keys += await asyncio.to_thread(move_key_by_key, slot, source, target, nodes)
                    moved += 1
                while await asyncio.to_thread(in_one_piece, own, nodes, rng) and queue_moves < 5:
                    queue_moves += 1
                    ended = completions(scene)
                    await until(lambda: completions(scene) > ended + 5, "leads end again", within_s=30)  # noqa: B023
            if not queue_moves:
                await daemon.terminate()
                source = (await asyncio.to_thread(slots_in_use, nodes))[own]
                target = rng.choice([node for node in nodes if node is not source])
                await asyncio.to_thread(move_key_by_key, own, source, target, nodes)
                await daemon.start()
            await scene.all_done(within_s=120)
            found = await scene.jobs()
            how = f"{queue_moves} times, in one piece, under load" if queue_moves else "once, with the daemon stopped"
            figures = (
                told("slots moved under load, keys in them", f"{moved}, {keys}"),
                told("the queue's own slot moved", how),
                told("leads, answers 429 or none", f"{len(found)}, {scene.refusals}"),
                *what_it_cost(scene, found),
                exactly("bought twice", scene.book.bought_again(), 0),
                alive(scene),
            )
    return findings("cluster", "Slots of a Cluster move under load", order, began, figures)


def slots_in_use(nodes: ClusterNodes) -> dict[int, RedisServer]:
    """Slots that hold keys, and who has them."""
    return {key_slot(key.encode()): node for node in nodes for key in ask(node, "KEYS", "le:*")}


def move_key_by_key(slot: int, source: RedisServer, target: RedisServer, nodes: ClusterNodes) -> int:
    """As redis-cli does it: a few keys at a time, so that for a while some are here and some there."""
    ask(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", node_id(source))
    ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", node_id(target))
    moved = 0
    while keys := ask(source, "CLUSTER", "GETKEYSINSLOT", slot, 2):
        ask(source, "MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
        moved += len(keys)
    for node in (target, source, *nodes):
        ask(node, "CLUSTER", "SETSLOT", slot, "NODE", node_id(target))
    return moved


def in_one_piece(slot: int, nodes: ClusterNodes, rng: random.Random) -> bool:
    """Valkey 9 moves a slot as a whole while it is in use; False where the server cannot."""
    source = slots_in_use(nodes)[slot]
    target = rng.choice([node for node in nodes if node is not source])
    try:
        ask(source, "CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", node_id(target))
    except ResponseError:
        return False
    wait_for(lambda: slots_in_use(nodes)[slot] is target)
    return True


# --- both ----------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def leads_keep_coming(scene: Stage, *, at_once: int = 4) -> AsyncIterator[None]:
    """Inside, leads come in without a break, each sent until it is taken."""
    over, count = asyncio.Event(), 0

    async def sender() -> None:
        nonlocal count
        while not over.is_set():
            count += 1
            [contact] = people(scene.sandbox, 1, start=count)
            await scene.deliver(contact)
            await asyncio.sleep(0.01)

    senders = [asyncio.create_task(sender()) for _ in range(at_once)]
    try:
        yield
    finally:
        over.set()
        with contextlib.suppress(RedisError):
            await asyncio.gather(*senders)


def completions(scene: Stage) -> int:
    return sum(len(daemon.said("completed")) for daemon in scene.daemons)


def alive(scene: Stage) -> Figure:
    dead = [daemon.path.parent.name for daemon in scene.daemons if not daemon.running]
    return Figure("the daemons lived on", "no: " + ", ".join(dead) if dead else "yes", "yes", not dead)
