"""T19: half an hour of leads and afflictions, and whether anything grows."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise

from daemon_process import DaemonProcess, people

from chaos.afflictions import AFFLICTIONS
from chaos.figures import Figure, Findings, at_most, exactly, told
from chaos.order import Order, findings
from chaos.readings import MB, Census, Files, census, files, gauge, pool_ports, rss_bytes
from chaos.stage import ALWAYS, Stage, stage
from chaos.trend import trend
from leadenrich.config import RedisSettings
from leadenrich.store.connection import Connection, open_redis
from leadenrich.store.errors import StoreUnavailable

LEADS_PER_S = 5
LOOK_S = 5.0
SLOT_S, REST_S = 120.0, 15.0
KEPT = 300  # of the jobs that have ended, so that most of the time as many go as come
WINDOW_S = 60.0  # how long deliveries and bought records are remembered, for the same reason
ONE_FOR_ALL = (0, 2)  # keys of a kind that has one for all leads, or one a day
MEANS_MIN = 8  # fewer say nothing of a slope
LATE_S = 20.0  # how far our clock and a key's birth may lie apart
POOLED_MAX = 32 + 2 + 2 * 5  # commands, listener; a connection to each vendor for each slot
TOLD_IN_THE_LOG = ("retrying", "throttled", "provider_paused", "spooled", "duplicate", "reloaded", "malformed_request")
SETTINGS = {
    "queue": {
        "lease": 5.0, "backoff_delay": 5.0, "keep_succeeded": KEPT, "keep_failed": KEPT, "delivery_window": WINDOW_S,
        "dedup_window": WINDOW_S,
    },
    "worker": {"rate_per_second": 30},
    "realestateapi": {"cache_ttl": WINDOW_S},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rest:
    """What there is when nothing is to do. `wrong` are the keys that no model explains."""

    after: str
    at_s: float
    leads: int
    backlog_s: float
    files: Files
    tasks: int
    keys: Counter[str]
    wrong: tuple[str, ...]


@dataclass(slots=True)
class Soak:
    """One daemon under an even load, watched."""

    scene: Stage
    daemon: DaemonProcess
    redis: Connection
    began: float = field(default_factory=time.monotonic)
    leads: int = 0
    flowing: asyncio.Event = field(default_factory=asyncio.Event)
    deliveries: set[asyncio.Task[str]] = field(default_factory=set)
    done: set[str] = field(default_factory=set)
    dead: set[str] = field(default_factory=set)
    misplaced: list[str] = field(default_factory=list)  # looks at which a job was in no place, or in two
    rss: list[tuple[float, int]] = field(default_factory=list)  # seconds, bytes
    rests: list[Rest] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)

    @property
    def at_s(self) -> float:
        return time.monotonic() - self.began

    async def bring_leads(self) -> None:
        """New contacts at an even pace while it flows. Who is refused is sent again: see `Stage.deliver`."""
        while True:
            await self.flowing.wait()
            [contact] = people(self.scene.sandbox, 1, start=self.leads)
            self.leads += 1
            task = asyncio.create_task(self.scene.deliver(contact))
            self.deliveries.add(task)
            task.add_done_callback(self.deliveries.discard)
            await asyncio.sleep(1 / LEADS_PER_S)

    async def watch(self) -> None:
        while True:
            assert self.daemon.running, "the daemon ended:\n" + "".join(self.daemon.text[-20:])
            self.rss.append((self.at_s, rss_bytes(self.daemon.pid)))
            with suppress(StoreUnavailable):  # that is the affliction
                await self.count()
            await asyncio.sleep(LOOK_S)

    async def count(self) -> Census:
        """Raises: StoreUnavailable."""
        seen = await census(self.redis)
        self.done |= seen.done
        self.dead |= seen.dead
        if not seen.kinds["job"] == seen.kinds["load"] == seen.jobs_in_places:
            counts = f"{seen.jobs_in_places} in places, {seen.kinds['job']} jobs, {seen.kinds['load']} loads"
            self.misplaced.append(f"{self.at_s:.0f} s: {counts}")
        return seen

    async def suffer(self, name: str, seconds: float) -> None:
        try:
            await AFFLICTIONS[name](self.scene, self.daemon, seconds)
        except AssertionError as error:
            self.unexpected.append(f"{name}: {error}")

    async def warm_up(self, names: list[str]) -> None:
        """What is loaded, opened or kept once is there afterwards."""
        await asyncio.sleep(LOOK_S)
        for name in names:
            await self.suffer(name, 4.0)
        await self.rest("the warm-up")

    async def slot(self, name: str, seconds: float) -> None:
        until_s = self.at_s + seconds
        await asyncio.sleep(LOOK_S)
        await self.suffer(name, seconds / 8)
        await asyncio.sleep(max(0.0, until_s - REST_S - self.at_s))
        await self.rest(name)

    async def rest(self, after: str) -> None:
        """No more leads until all have ended and connections are closed: what is there then should be so each time."""
        self.flowing.clear()
        stopped = time.monotonic()
        while not await self._all_ended() and time.monotonic() < stopped + 180:
            await asyncio.sleep(0.5)
        backlog_s = time.monotonic() - stopped
        looks, ports = [], pool_ports(self.scene)
        for _ in range(10):
            looks.append((files(self.daemon.pid, ports), int(await gauge(self.daemon, "leadenrich_asyncio_tasks"))))
            await asyncio.sleep(1)
        seen = await self.count()
        self.rests.append(Rest(
            after, self.at_s, self.leads, backlog_s, min((it for it, _ in looks), key=lambda it: it.own),
            min(tasks for _, tasks in looks), seen.kinds, tuple(self.against_model(seen)),
        ))  # fmt: skip
        self.flowing.set()

    async def _all_ended(self) -> bool:
        try:
            return (await self.count()).live == 0 and not self.deliveries and not self.missing()
        except StoreUnavailable:
            return False

    def missing(self) -> set[str]:
        """Accepted, and not seen ended."""
        return set(self.scene.accepted.values()) - self.done - self.dead

    def against_model(self, seen: Census) -> list[str]:
        """The kinds of keys whose number is not what the leads so far leave, in rest."""
        done, dead = min(KEPT, len(self.done)), min(KEPT, len(self.dead))
        starts = Counter(line["job_id"] for line in self.daemon.said("started"))
        again = sum(starts[it] > 1 for it in seen.done) + dead  # one run that succeeds has no lines of its own
        jobs, now = done + dead, time.monotonic()
        told_at = [at for at, _, _ in self.scene.told]
        sold_at = [call.answered for calls in self.scene.book.purchases.values() for call in calls if call.answered]
        model = {
            "job": (jobs, jobs), "load": (jobs, jobs), "tl": (again, again), "step": (jobs, jobs),
            "done": (done > 0, done > 0), "dead": (dead > 0, dead > 0),
            "seen": (len(self.scene.accepted), len(self.scene.accepted)),
            "contacts": (len(self.done), len(self.scene.accepted)),
            "dedup": _young(told_at, now), "record": _young(sold_at, now),
            "spending": (0, 2 * 3 * _young(told_at, now)[1]),  # a reservation and its return for each of three tries
        }  # fmt: skip
        return [
            f"{kind}: {seen.kinds[kind]}, not {low} to {high}"
            for kind in {*model, *seen.kinds}
            for low, high in [model.get(kind, ONE_FOR_ALL)]
            if not low <= seen.kinds[kind] <= high
        ]


def _young(births: list[float], now: float) -> tuple[int, int]:
    """How many there are at least and at most of what lives for WINDOW_S."""
    ages = [now - birth for birth in births]
    return sum(age < WINDOW_S - LATE_S for age in ages), sum(age < WINDOW_S + LATE_S for age in ages)


async def soak(order: Order) -> Findings:
    """Warm-up: every affliction once, shortly. Then one every two minutes, by seed, until the time is over."""
    minutes, slot_s = (2.0, 40.0) if order.quick else (order.minutes, SLOT_S)
    began, rng = time.monotonic(), random.Random(order.seed)
    server = {"spool": str(order.folder / "spool")}
    async with (
        stage(order.folder, *ALWAYS, seed=order.seed, server=server, **SETTINGS) as scene,
        open_redis(RedisSettings(url=scene.redis.url)) as redis,
    ):
        daemon = scene.daemon()
        await daemon.start()
        run = Soak(scene, daemon, redis)
        run.flowing.set()
        async with asyncio.TaskGroup() as group:
            loops = [group.create_task(run.bring_leads()), group.create_task(run.watch())]
            await run.warm_up([] if order.quick else list(AFFLICTIONS))
            coming: list[str] = []
            while run.at_s + slot_s / 2 < minutes * 60:
                coming = coming or rng.sample(list(AFFLICTIONS), len(AFFLICTIONS))
                await run.slot(coming.pop(), slot_s)
            for loop in loops:
                loop.cancel()
        return findings("soak", "Half an hour of leads and afflictions", order, began, _figures(run), _rows(run))


def _figures(run: Soak) -> tuple[Figure, ...]:
    rests = run.rests[1:]
    ids = set(run.scene.accepted.values())
    spans = {
        "descriptors in rest": {it.files.own for it in rests},
        "tasks in rest": {it.tasks for it in rests},
    }
    wrong = [f"after {it.after}: {kind}" for it in run.rests for kind in it.wrong]
    return (
        told("leads, afflictions", f"{run.leads}, {len(rests)}"),
        exactly("lost", len(run.missing()) + run.leads - len(run.scene.accepted), 0),
        exactly("kept twice", run.leads - len(ids), 0),
        told("ended SUCCEEDED, FAILED_FINAL", f"{len(run.done & ids)}, {len(run.dead & ids)}"),
        told("answers 429 or none, sent again", run.scene.refusals),
        told("met on the way", ", ".join(f"{len(run.daemon.said(it))} {it}" for it in TOLD_IN_THE_LOG)),
        *_memory(run),
        *(Figure(name, _span(values), "the same each time", len(values) == 1) for name, values in spans.items()),
        at_most("connections kept to Redis and the vendors", max(it.files.pooled for it in rests), POOLED_MAX),
        Figure("kinds of keys against the model", "; ".join(wrong) or "as many", "as many, in each rest", not wrong),
        Figure("jobs not in exactly one place", "; ".join(run.misplaced) or "0", "0", not run.misplaced),
        Figure(
            "answers to duplicates, malformed and slow requests",
            "; ".join(run.unexpected) or "right",
            "right",
            not run.unexpected,
        ),
    )


def _memory(run: Soak) -> tuple[Figure, ...]:
    """The slope of the resident memory after the warm-up, through the mean of each slot."""
    warm, *rests = run.rests
    means, since = [], warm.at_s
    for rest in rests:
        means.append(statistics.fmean(rss for at_s, rss in run.rss if since <= at_s < rest.at_s) / MB)
        since = rest.at_s
    hours = [(first.at_s + last.at_s) / 7200 for first, last in pairwise(run.rests)]
    first_mb, peak_mb = run.rss[0][1] / MB, max(rss for _, rss in run.rss) / MB
    shown = told("resident memory at the start, at most", f"{first_mb:.1f} MB, {peak_mb:.1f} MB")
    if len(means) < MEANS_MIN:
        return (shown,)
    line = trend(hours, means)
    span = f"{warm.at_s / 60:.0f} to {rests[-1].at_s / 60:.0f} min, {len(means)} means"
    return (
        shown,
        Figure(
            f"its growth after the warm-up ({span})",
            f"{line.slope:+.2f} MB/h, 95 % within ± {line.spread:.2f}",
            "< 1 MB/h",
            line.slope < 1,
        ),
    )


def _rows(run: Soak) -> tuple[tuple[str, ...], ...]:
    head = ("minute", "after", "leads so far", "MB", "descriptors", "tasks", "jobs kept", "keys", "all ended after")
    rows = []
    for it in run.rests:
        rss = [rss for at_s, rss in run.rss if at_s <= it.at_s][-1]
        rows.append((
            f"{it.at_s / 60:.1f}", it.after, str(it.leads), f"{rss / MB:.1f}", str(it.files.own), str(it.tasks),
            str(it.keys["job"]), str(it.keys.total()), f"{it.backlog_s:.1f} s",
        ))  # fmt: skip
    return (head, *rows)


def _span(values: set[int]) -> str:
    return " to ".join(str(it) for it in sorted({min(values), max(values)}))
