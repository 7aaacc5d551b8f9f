"""On a Cluster: every verb reaches the node that holds its keys, and follows when they move."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from daemon_process import inside, new_sandbox, settings_for
from queue_desk import Desk
from redis.crc import key_slot
from redis_server import RedisServer
from redis_topologies import ClusterNodes, ask, cluster, joined, node_id, replicate, wait_for

from leadenrich.config import QueueSettings, RealEstateApiSettings, RedisSettings
from leadenrich.core.address import NormalAddress
from leadenrich.core.job import StepRecord
from leadenrich.core.lead import PostalAddress
from leadenrich.core.property import Found, LookupAnswer
from leadenrich.sandbox.events import contact_event
from leadenrich.store.connection import open_redis
from leadenrich.store.errors import StoreRefused, StoreUnavailable
from leadenrich.store.limiter import SharedPace
from leadenrich.store.purchases import Purchases
from leadenrich.store.queue import Queue
from leadenrich.store.schema import Keys
from leadenrich.store.sightings import Sightings
from leadenrich.store.switches import Switches
from leadenrich.store.views import JobQuery

WAIT_S = 20.0


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterNodes]:
    with cluster(tmp_path_factory.mktemp("cluster")) as standing:
        yield standing


@pytest.fixture
async def desk(nodes: ClusterNodes) -> AsyncIterator[Desk]:
    async with open_redis(RedisSettings(url=nodes.url)) as connection:
        await connection.execute("FLUSHALL")
        queue = Queue(connection, QueueSettings(), worker="w1")
        await queue.open()
        yield Desk(connection, queue)


def home(nodes: ClusterNodes, key: str) -> RedisServer:
    """The primary that a fresh Cluster puts a key on."""
    return nodes[min(key_slot(key.encode()) * len(nodes) // 16384, len(nodes) - 1)]


def key_on(nodes: ClusterNodes, node: RedisServer) -> str:
    return next(key for key in map("k{}".format, range(1000)) if home(nodes, key) is node)


@dataclass
class Seller:
    """Sells what it is asked for, and counts."""

    name: str = "realestateapi"
    sold: list[str] = field(default_factory=list)

    async def lookup(self, address: NormalAddress, *, location_id: str) -> LookupAnswer:
        self.sold.append(address.key)
        return Found({"data": {"id": address.house}}, address.house)


@dataclass
class Steps:
    """Checkpoints of a job that keeps none."""

    recorded: list[tuple[bool, int]] = field(default_factory=list)

    def get(self, name: str) -> StepRecord | None:
        return None

    async def intend(self, name: str) -> None: ...

    async def withdraw(self, name: str) -> None: ...

    async def record(self, name: str, result: bytes, *, cached: bool = False, credits: int = 0) -> None:
        self.recorded.append((cached, credits))


async def test_the_whole_round_of_a_lead(desk: Desk) -> None:
    job_id = await desk.new("c1", key="delivery-1")
    assert (await desk.submit("c1", key="delivery-1")).job_id == job_id
    claim = await desk.one()
    await desk.queue.checkpoint(claim, "lookup", paid=True)
    await desk.queue.checkpoint(claim, "lookup", result=b"\x00record", credits=1, paid=True)
    assert await desk.queue.extend([claim]) == set()
    await desk.complete(claim)
    job = await desk.job(job_id)
    assert (job.state, job.outcome, [step.credits for step in job.steps]) == ("SUCCEEDED", "QUALIFIED", [1])


async def test_many_leads_at_once_wait_for_a_connection(desk: Desk) -> None:
    """More than the pool has connections: nobody is refused, and the batches keep within the queue's slot."""
    await asyncio.gather(*(desk.new(f"c{number}", f"{number} Elm St") for number in range(300)))
    await asyncio.gather(*(desk.connection.execute("HGETALL", desk.keys.counts) for _ in range(200)))
    page = await desk.views.jobs(JobQuery(limit=200))
    assert len(page.jobs) == 200
    stats = await desk.views.stats()
    assert stats.lanes["live"]["QUEUED"] == 300


async def test_properties_are_bought_once_wherever_their_keys_are(desk: Desk, nodes: ClusterNodes) -> None:
    seller, steps = Seller(), Steps()
    settings = RealEstateApiSettings(daily_credits=12)
    addresses = [NormalAddress(str(number), "ELM ST", "", "SPRINGFIELD", "IL", "62704") for number in range(12)]
    for _ in range(2):
        purchases = Purchases(desk.connection, seller, settings, flight_s=5)
        for address in addresses:
            await purchases.buy(address, location_id="loc1", steps=steps, step="lookup")
    assert len(seller.sold) == 12
    assert steps.recorded == [(False, 1)] * 12 + [(True, 0)] * 12
    assert all(ask(node, "DBSIZE") > 0 for node in nodes)  # they do lie on all of them


async def test_pauses_sightings_and_the_shared_pace(desk: Desk) -> None:
    switches = Switches(desk.connection, desk.keys)
    assert await switches.pause_provider("realestateapi", "auth", "401")
    await desk.new()
    assert await desk.claim() == []
    assert await switches.resume_provider("realestateapi", why="new key")
    assert len(await desk.claim()) == 1

    sightings = Sightings(desk.connection, desk.keys)
    for number in range(6):  # each address has a slot of its own
        assert not await sightings.seen_elsewhere("loc1", f"address {number}", "c1", 60)
        assert await sightings.seen_elsewhere("loc1", f"address {number}", "c2", 60)
    await sightings.note_address("loc1", "c9", "fingerprint")

    pace, began = SharedPace(desk.connection, "realestateapi", 50), time.monotonic()
    for _ in range(6):
        await pace.take()
    assert time.monotonic() - began >= 5 / 50


async def test_a_waiting_worker_is_woken_and_let_go(desk: Desk) -> None:
    waiting = asyncio.create_task(desk.queue.wait(WAIT_S))
    await blocked(desk)
    await desk.queue.poke()
    assert await waiting is True

    waiting = asyncio.create_task(desk.queue.wait(WAIT_S))
    await blocked(desk)
    began = time.monotonic()
    await desk.queue.stop_waiting()
    assert await waiting is False
    assert time.monotonic() - began < 5


async def blocked(desk: Desk) -> None:
    """Until some node holds a client that waits."""
    servers = desk.connection._servers
    while not any(info["blocked_clients"] for info in await servers.run_everywhere("INFO", "clients")):
        await asyncio.sleep(0.01)


async def test_a_pipeline_may_touch_every_node(desk: Desk, nodes: ClusterNodes) -> None:
    keys = [key_on(nodes, node) for node in nodes]
    pipeline = desk.connection.pipeline()
    for key in keys:
        pipeline.zadd(key, {"m": 1})
        pipeline.zrange(key, 0, -1, withscores=True)
    answers = await desk.connection.flush(pipeline)
    assert answers[::2] == [1, 1, 1]
    assert [[(member, score) for member, score in answer] for answer in answers[1::2]] == [[(b"m", 1.0)]] * 3


async def test_scripts_come_back_on_every_node_that_forgot_them(desk: Desk, nodes: ClusterNodes) -> None:
    await desk.new("c1")
    for node in nodes:
        ask(node, "SCRIPT", "FLUSH")
    await desk.new("c2")
    assert len(await desk.claim(5)) == 2


async def test_a_slot_on_its_way_is_followed(desk: Desk, nodes: ClusterNodes, tmp_path: Path) -> None:
    """ASK while it moves, MOVED when it has; the new owner is a node that the map did not name."""
    await asyncio.gather(*(desk.connection.execute("PING") for _ in range(8)))
    source = nodes[1]
    stays = key_on(nodes, source)
    goes = f"{{{stays}}}:goes"  # the same slot
    slot = key_slot(stays.encode())
    await desk.connection.execute("SET", stays, "stayed")
    await desk.connection.execute("SET", goes, "went")
    with joined(tmp_path / "late", nodes) as late:
        begin_move(slot, source, late)
        ask(source, "MIGRATE", "127.0.0.1", late.port, goes, 0, 2000)
        for _ in range(5):
            both = asyncio.gather(desk.connection.execute("GET", stays), desk.connection.execute("GET", goes))
            assert await both == [b"stayed", b"went"]
            pipeline = desk.connection.pipeline()
            pipeline.get(stays)
            pipeline.get(goes)
            assert await desk.connection.flush(pipeline) == [b"stayed", b"went"]
        ask(source, "MIGRATE", "127.0.0.1", late.port, stays, 0, 2000)
        end_move(slot, late, *nodes)
        assert await desk.connection.execute("GET", stays) == b"stayed"

        begin_move(slot, late, source)  # and back: the next test finds the Cluster as it was
        ask(late, "MIGRATE", "127.0.0.1", source.port, "", 0, 2000, "KEYS", stays, goes)
        end_move(slot, source, nodes[0], nodes[2])
        assert await desk.connection.execute("GET", goes) == b"went"
        for node in nodes:
            ask(node, "CLUSTER", "FORGET", node_id(late))


def begin_move(slot: int, source: RedisServer, target: RedisServer) -> None:
    ask(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", node_id(source))
    ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", node_id(target))


def end_move(slot: int, owner: RedisServer, *others: RedisServer) -> None:
    for node in (owner, *others):
        ask(node, "CLUSTER", "SETSLOT", slot, "NODE", node_id(owner))


async def test_a_whole_daemon_lives_on_a_cluster(nodes: ClusterNodes, tmp_path: Path) -> None:
    async with open_redis(RedisSettings(url=nodes.url)) as connection:
        await connection.execute("FLUSHALL")
    async with new_sandbox() as sandbox, inside(sandbox, tmp_path, settings_for(sandbox, nodes.url)) as daemon:
        address = PostalAddress("742 Evergreen Terrace", "Springfield", "Illinois", "62704")
        contact = sandbox.ghl.add_contact("ContactAlex", sandbox.location_id, address=address)
        status, answer = await daemon.hook(contact_event("ContactCreate", contact))
        assert status == 202
        [job] = await daemon.ended([answer["job_id"]])
        assert (job["state"], job["outcome"]) == ("SUCCEEDED", "QUALIFIED")
        assert list(await daemon.jobs()) == [answer["job_id"]]


async def test_the_worst_of_the_primaries_counts(nodes: ClusterNodes) -> None:
    ask(nodes[2], "CONFIG", "SET", "appendonly", "no")
    try:
        with pytest.raises(StoreRefused, match="append-only"):
            async with open_redis(RedisSettings(url=nodes.url)):
                pass
    finally:
        ask(nodes[2], "CONFIG", "SET", "appendonly", "yes")


async def test_a_replica_takes_over_for_its_primary(tmp_path: Path) -> None:
    """The primary that holds the queue dies: what was replicated is there, and new leads are taken soon."""
    with cluster(tmp_path, more=1) as nodes:
        *primaries, replica = nodes
        keys = Keys("lead-enrichment")
        primary = home(ClusterNodes(primaries), keys.wake)
        replicate(replica, primary)
        url = ClusterNodes(primaries).url  # it is found though the address does not name it
        async with open_redis(RedisSettings(url=url)) as connection:
            desk = Desk(connection, Queue(connection, QueueSettings(), worker="w1"))
            await desk.new("before")
            waiting = asyncio.create_task(desk.queue.wait(WAIT_S))
            await waiting  # the marker of the lead above
            wait_for(lambda: ask(replica, "DBSIZE") == ask(primary, "DBSIZE"))
            waiting = asyncio.create_task(desk.queue.wait(WAIT_S))
            await blocked(desk)
            primary.kill()
            with pytest.raises(StoreUnavailable):
                await waiting
            await submitted(desk, "after")
            assert len(await desk.claim(5)) == 2
            pipeline = connection.pipeline()
            pipeline.hgetall(keys.counts)
            assert await connection.flush(pipeline)


async def submitted(desk: Desk, contact: str) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            await desk.submit(contact)
            return
        except StoreUnavailable:
            assert time.monotonic() < deadline, "no replica took over"
            await asyncio.sleep(0.05)
