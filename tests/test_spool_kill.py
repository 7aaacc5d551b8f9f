"""Redis goes away and the daemon is killed: every lead that was answered becomes one job, in its order."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from daemon_process import DaemonProcess, new_sandbox, people, process, settings_for, until
from redis_server import RedisServer, running

from leadenrich.config import RedisSettings
from leadenrich.sandbox.events import contact_event, signed_headers
from leadenrich.sandbox.server import Sandbox
from leadenrich.store.connection import Connection, open_redis
from leadenrich.store.schema import Keys
from leadenrich.store.spool_file import HEADER, scan

KEYS = Keys("lead-enrichment")
BUSY_S = 0.5  # what a busy machine may add


class Scene:
    """A Redis, the vendors, and a web half with a spool that is not started yet."""

    def __init__(self, daemon: DaemonProcess, sandbox: Sandbox, redis: RedisServer, spool: Path) -> None:
        self.daemon = daemon
        self.sandbox = sandbox
        self.redis = redis
        self.spool = spool

    def bodies(self, count: int) -> list[bytes]:
        """Deliveries of new contacts, one each."""
        return [contact_event("ContactCreate", person) for person in people(self.sandbox, count)]

    def redis_process(self) -> Any:
        assert self.redis.process is not None
        return self.redis.process

    def stop_redis(self) -> None:
        self.redis_process().send_signal(signal.SIGSTOP)

    def go_on_redis(self) -> None:
        self.redis_process().send_signal(signal.SIGCONT)

    async def queued(self) -> list[str]:
        """The ids of the jobs that wait, oldest first. Also: there are no others."""
        async with self.connected() as connection:
            waiting = [it.decode() for it in await connection.execute("LRANGE", KEYS.wait_live, 0, -1)]
            jobs = await connection.execute("KEYS", f"{KEYS.prefix}job:*")
            assert len(jobs) == len(set(waiting)) == len(waiting)
            return waiting

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Connection]:
        async with open_redis(RedisSettings(url=self.redis.url)) as connection:
            yield connection

    async def drained(self) -> None:
        await until(lambda: self.spool.stat().st_size == len(HEADER), "the spool is empty")

    async def ready(self) -> Any:
        async with self.daemon.session.get(self.daemon.url + "/readyz") as answer:
            return answer.status, await answer.json(content_type=None)


@asynccontextmanager
async def scene(folder: Path, *, through: Callable[[int], int] | None = None) -> AsyncIterator[Scene]:
    """`through` turns Redis' port into the one that the daemon is given."""
    (folder / "redis").mkdir()
    spool = folder / "spool"
    with running(folder / "redis", "--appendfsync", "always") as redis:
        url = redis.url.replace(str(redis.port), str(through(redis.port))) if through else redis.url
        async with new_sandbox() as sandbox:
            settings = settings_for(sandbox, url, server={"spool": str(spool)}, redis={"connect_timeout": 5.0})
            async with process(sandbox, folder, settings) as daemon:
                play = Scene(daemon, sandbox, redis, spool)
                try:
                    yield play
                finally:
                    if redis.process is not None:
                        play.go_on_redis()


async def post(daemon: DaemonProcess, body: bytes) -> dict[str, Any]:
    status, answer = await daemon.hook(body)
    assert status in (200, 202), (status, answer)
    return dict(answer) | {"http": status}


# --- Redis away in each way ------------------------------------------------------------------------------------------


def stopped(play: Scene) -> None:
    play.stop_redis()


def killed(play: Scene) -> None:
    play.redis.kill()


@pytest.mark.parametrize("away", [stopped, killed], ids=lambda it: it.__name__)
async def test_two_hundred_leads_without_redis(tmp_path: Path, away: Callable[[Scene], None]) -> None:
    async with scene(tmp_path) as play:
        daemon = play.daemon
        await daemon.start("--only", "web")
        first, late, *bodies = play.bodies(202)
        direct = await post(daemon, first)
        assert "spooled" not in direct
        away(play)
        began = time.monotonic()
        answers = [await post(daemon, bodies[0])]
        assert time.monotonic() - began < 2.0 + BUSY_S
        for start in range(1, 200, 20):
            answers += await asyncio.gather(*(post(daemon, body) for body in bodies[start : start + 20]))
        assert [(it["http"], it["status"], it["spooled"]) for it in answers] == [(202, "QUEUED", True)] * 200
        assert time.monotonic() - began < 10.0  # eleven waits for Redis would take longer
        again = await post(daemon, bodies[7])
        assert (again["http"], again["duplicate"], again["job_id"]) == (200, True, answers[7]["job_id"])
        status, report = await play.ready()
        assert (status, report["web"]["ready"], report["notes"]["spool"]) == (200, True, "spooling: 200 leads wait")
        async with daemon.session.get(daemon.url + "/metrics") as metrics:
            assert "leadenrich_spool_leads 200.0" in (await metrics.text()).splitlines()
        play.go_on_redis() if play.redis.process else play.redis.start()
        await play.drained()
        queued = await play.queued()
        ids = [it["job_id"] for it in answers]
        assert queued[:2] == [direct["job_id"], ids[0]]
        # Those of one group came side by side; the groups came one after the other.
        groups = [set(ids[:1]), *(set(ids[start : start + 20]) for start in range(1, 200, 20))]
        assert [job_id for group in groups for job_id in sorted(group, key=queued.index)] == queued[1:]
        assert "spooled" not in await post(daemon, late)
        assert (await post(daemon, bodies[7]))["job_id"] == ids[7]
        assert daemon.said("spool_drained", leads=200)
        assert len(daemon.said("queued")) == 202
        assert await daemon.terminate() == 0


async def test_a_redis_that_is_full_hands_its_leads_to_the_spool(tmp_path: Path) -> None:
    async with scene(tmp_path) as play, play.connected() as connection:
        await play.daemon.start("--only", "web")
        await connection.execute("CONFIG", "SET", "maxmemory", "1")
        answers = [await post(play.daemon, body) for body in play.bodies(5)]
        assert all(it["spooled"] for it in answers)
        await connection.execute("CONFIG", "SET", "maxmemory", "0")
        await play.drained()
        assert await play.queued() == [it["job_id"] for it in answers]


# --- the daemon dies -------------------------------------------------------------------------------------------------


class Sender:
    """Sends its deliveries one after the other, each until it is answered, as HighLevel does."""

    def __init__(self, daemon: DaemonProcess, bodies: list[bytes]) -> None:
        self.daemon = daemon
        self.left = bodies
        self.answered: list[str] = []

    async def send(self, count: int) -> None:
        """Up to `count` of them; stops where nobody answers."""
        with suppress(aiohttp.ClientError):
            for body in self.left[:count]:
                headers = signed_headers(body, self.daemon.sandbox.keys.sign)
                status, answer, _ = await self.daemon.post("/webhooks/ghl", body, headers)
                assert status in (200, 202), answer
                self.answered.append(answer["job_id"])
                self.left = self.left[1:]


async def test_killed_again_and_again_it_loses_none_and_doubles_none(tmp_path: Path) -> None:
    rng = random.Random(7)
    async with scene(tmp_path) as play:
        daemon, bodies = play.daemon, play.bodies(160)
        senders = [Sender(daemon, bodies[start::8]) for start in range(8)]

        for away in (stopped, killed):
            await daemon.start("--only", "web")
            await asyncio.gather(*(sender.send(1) for sender in senders))
            away(play)
            before = sum(len(sender.answered) for sender in senders)
            sending = asyncio.gather(*(sender.send(7) for sender in senders))
            while sum(len(sender.answered) for sender in senders) < before + 25:
                await asyncio.sleep(0.001)
            await daemon.kill()  # in the middle of spooling
            await sending
            assert play.spool.stat().st_size > len(HEADER)
            play.go_on_redis() if play.redis.process else play.redis.start()
            await daemon.spawn("--only", "web")
            await until(lambda: daemon.said("spool_found"), "it hands on what it found")
            await asyncio.sleep(rng.random() * 0.02)  # not hope: any moment is as good
            await daemon.kill()
        await daemon.start("--only", "web")
        await asyncio.gather(*(sender.send(100) for sender in senders))
        await play.drained()
        assert not any(sender.left for sender in senders)
        queued = await play.queued()
        assert sorted(queued) == sorted(job_id for sender in senders for job_id in sender.answered)
        for sender in senders:
            assert [job_id for job_id in queued if job_id in set(sender.answered)] == sender.answered


class Wire:
    """Between the daemon and Redis. `hang_up` ends what is open and takes no more; `answers` is how many script calls
    are still answered, None for all: a call beyond it is carried out, and its answer kept.
    """

    def __init__(self) -> None:
        self.port = self.port_of_redis = 0
        self.answers: int | None = None
        self._cut = False
        self._open: set[asyncio.StreamWriter] = set()

    @asynccontextmanager
    async def laid(self) -> AsyncIterator[Wire]:
        server = await asyncio.start_server(self._joined, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            self.hang_up()
            server.close()
            await server.wait_closed()

    def through(self, port: int) -> int:
        self.port_of_redis = port
        return self.port

    def hang_up(self) -> None:
        self._cut = True
        for writer in self._open:
            writer.close()
        self._open.clear()

    def mend(self) -> None:
        self._cut = False

    async def _joined(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._cut:
            writer.close()
            return
        there, back = await asyncio.open_connection("127.0.0.1", self.port_of_redis)
        self._open |= {writer, back}
        deaf = asyncio.Event()
        with suppress(OSError):
            await asyncio.gather(self._commands(reader, back, deaf), self._answers(there, writer, deaf))

    async def _commands(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, deaf: asyncio.Event) -> None:
        while data := await reader.read(1 << 20):
            if self.answers is not None and b"EVALSHA" in data:
                if self.answers == 0:
                    deaf.set()
                self.answers = max(0, self.answers - 1)
            writer.write(data)
            await writer.drain()
        writer.close()

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, deaf: asyncio.Event) -> None:
        while data := await reader.read(1 << 20):
            if not deaf.is_set():
                writer.write(data)
                await writer.drain()
        writer.close()


async def test_killed_between_redis_answer_and_hearing_it(tmp_path: Path) -> None:
    """Redis has the jobs, the file has the leads still: the next life finds out that they are the same."""
    async with Wire().laid() as wire, scene(tmp_path, through=wire.through) as play:
        daemon, bodies = play.daemon, play.bodies(21)
        await daemon.start("--only", "web")
        ids = [(await post(daemon, bodies[0]))["job_id"]]
        wire.hang_up()
        answers = [await post(daemon, body) for body in bodies[1:]]
        assert all(it["spooled"] for it in answers)
        ids += [it["job_id"] for it in answers]
        wire.answers = 1  # the probe's: one lead is handed on and known to be
        wire.mend()

        async def all_there() -> bool:
            return len(await play.queued()) == len(ids)

        await until(all_there, "Redis carried out the call")
        await daemon.kill()
        left = scan(play.spool.read_bytes())
        assert len([span for span in left.spans if span.offset >= left.drained]) == 19
        wire.answers = None
        await daemon.start("--only", "web")
        await play.drained()
        assert await play.queued() == ids
        assert len(daemon.said("queued")) == 19


# --- start and end ---------------------------------------------------------------------------------------------------


async def test_it_ends_as_asked_and_the_leads_stay(tmp_path: Path) -> None:
    async with scene(tmp_path) as play:
        await play.daemon.start("--only", "web")
        play.stop_redis()
        answers = [await post(play.daemon, body) for body in play.bodies(3)]
        assert await play.daemon.terminate() == 0
        play.go_on_redis()
        await play.daemon.start("--only", "web")
        await play.drained()
        assert await play.queued() == [it["job_id"] for it in answers]


async def test_a_spool_that_cannot_be_used_is_said_at_the_start(tmp_path: Path) -> None:
    async with scene(tmp_path) as play:
        play.spool.mkdir()
        status, said = await play.daemon.refused("--only", "web")
        assert status == 1
        assert f"server.spool: the spool {play.spool} cannot be used: Is a directory" in said
        await play.daemon.spawn("--only", "worker")
        await until(lambda: play.daemon.said("ready"), "a worker half has no use for it")
