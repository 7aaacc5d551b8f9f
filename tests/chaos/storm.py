"""T10: ten thousand webhooks at once."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from daemon_process import DaemonProcess, people

from chaos.figures import Findings, at_least, at_most, exactly, told
from chaos.order import Order, findings
from chaos.readings import MB, rss_bytes_max
from chaos.stage import KEYS, Stage, stage
from leadenrich.config import RedisSettings
from leadenrich.sandbox.events import contact_event, signed_headers
from leadenrich.store.connection import open_redis

POLICIES = ("everysec", "always")
CONNECTIONS = (64, 256)
RATE_PER_S = 5
AS_INSTALLED = {
    "queue": {"lease": 30.0, "backoff_delay": 30.0},
    "worker": {"rate_per_second": RATE_PER_S},
    "realestateapi": {"rate_per_second": 10, "timeout": 15.0},
    "ghl": {"requests_per_10s": 100},
}
DRAIN_LOOK_S = 15.0  # all of it would take half an hour at the configured rate


@dataclass(frozen=True, slots=True)
class Answer:
    """`status` 0: the connection ended instead."""

    status: int
    seconds: float
    job_id: str = ""


@dataclass(frozen=True, slots=True)
class Burst:
    """One storm. `there`: how many of the jobs that were answered Redis has."""

    policy: str
    connections: int
    seconds: float
    answers: list[Answer]
    there: int
    drained_at_once: int
    drained_per_s: float
    rss: int

    @property
    def refused(self) -> int:
        return sum(it.status not in (200, 202) for it in self.answers)

    @property
    def lost(self) -> int:
        return len({it.job_id for it in self.answers if it.job_id}) - self.there

    @property
    def per_s(self) -> float:
        return len(self.answers) / self.seconds

    def slower_s(self, share: float) -> float:
        """All but this share of the answers came sooner."""
        return sorted(it.seconds for it in self.answers)[-max(1, round(share * len(self.answers)))]


async def storm(order: Order) -> Findings:
    count, began = (1_000 if order.quick else 10_000), time.monotonic()
    bursts = [await _burst(order, policy, connections, count) for policy in POLICIES for connections in CONNECTIONS]
    slowest = int(min(it.per_s for it in bursts))  # of a thousand only, it tells more of the start than of the daemon
    drained_per_s = min(it.drained_per_s for it in bursts)
    figures = (
        told("webhooks in each burst", count),
        exactly("not answered 2xx", sum(it.refused for it in bursts), 0),
        exactly("lost", sum(it.lost for it in bursts), 0),
        at_most("99 % answered within", max(it.slower_s(0.01) for it in bursts), 1, unit=" s"),
        told("answers a second", slowest) if order.quick else at_least("answers a second", slowest, 1_000),
        at_most("the daemon's memory", max(it.rss for it in bursts) / MB, 200, unit=" MB"),
        told("worked off meanwhile, at least", f"{drained_per_s:.1f}/s, {RATE_PER_S}/s is set"),
    )
    head = ("appendfsync", "connections", "answers/s", "50 % within", "99 % within", "all within", "memory at most",
            "ended during the burst", f"ended in the {DRAIN_LOOK_S:.0f} s after it")  # fmt: skip
    rows = (
        (it.policy, str(it.connections), f"{it.per_s:.0f}", f"{it.slower_s(0.5) * 1000:.0f} ms",
         f"{it.slower_s(0.01) * 1000:.0f} ms", f"{it.slower_s(0) * 1000:.0f} ms", f"{it.rss / MB:.0f} MB",
         str(it.drained_at_once), f"{it.drained_per_s:.1f}/s")
        for it in bursts
    )  # fmt: skip
    return findings("storm", "Ten thousand webhooks at once", order, began, figures, (head, *rows))


async def _burst(order: Order, policy: str, connections: int, count: int) -> Burst:
    folder = order.folder / f"{policy}-{connections}"
    async with stage(folder, "--appendfsync", policy, seed=order.seed, **AS_INSTALLED) as scene:
        daemon = scene.daemon()
        await daemon.start()
        requests = _requests(scene, count)
        began = time.monotonic()
        answers = await _send(daemon, requests, connections)
        seconds = time.monotonic() - began
        at_once, looked = len(daemon.said("completed")), time.monotonic()
        await asyncio.sleep(3 if order.quick else DRAIN_LOOK_S)
        drained = (len(daemon.said("completed")) - at_once) / (time.monotonic() - looked)
        there = await _kept(scene, {it.job_id for it in answers if it.job_id})
        return Burst(policy, connections, seconds, answers, there, at_once, drained, rss_bytes_max(daemon.pid))


def _requests(scene: Stage, count: int) -> list[bytes]:
    """Each another contact, signed: the sender's own work is done before the burst."""
    requests = []
    for contact in people(scene.sandbox, count):
        body = contact_event("ContactCreate", contact)
        headers = signed_headers(body, scene.sandbox.keys.sign) | {"Host": "x", "Content-Length": str(len(body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        requests.append(f"POST /webhooks/ghl HTTP/1.1\r\n{head}\r\n".encode() + body)
    return requests


async def _send(daemon: DaemonProcess, requests: Sequence[bytes], connections: int) -> list[Answer]:
    """All of them, as fast as the answers come."""
    waiting, port = iter(requests), int(daemon.url.rpartition(":")[2])
    answers: list[Answer] = []
    await asyncio.gather(*(_sender(port, waiting, answers) for _ in range(connections)))
    return answers


async def _sender(port: int, waiting: Iterator[bytes], answers: list[Answer]) -> None:
    """One connection, opened again when it ends."""
    request = next(waiting, None)
    while request is not None:
        began = time.monotonic()
        with suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            while request is not None:
                began = time.monotonic()
                writer.write(request)
                answers.append(await _answer(reader, began))
                request = next(waiting, None)
            writer.close()
            return
        answers.append(Answer(0, time.monotonic() - began))
        request = next(waiting, None)


async def _answer(reader: asyncio.StreamReader, began: float) -> Answer:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
    body = await reader.readexactly(length)
    status, job_id = int(head[9:12]), ""
    if status in (200, 202):
        job_id = str(json.loads(body)["job_id"])
    return Answer(status, time.monotonic() - began, job_id)


async def _kept(scene: Stage, job_ids: set[str]) -> int:
    """How many of these jobs Redis has."""
    keys, found = [KEYS.job(job_id) for job_id in job_ids], 0
    async with open_redis(RedisSettings(url=scene.redis.url)) as redis:
        for first in range(0, len(keys), 1000):
            found += int(await redis.execute("EXISTS", *keys[first : first + 1000]))
    return found
