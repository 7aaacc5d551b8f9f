"""The worker half of one daemon, wired from the real parts, that can be killed at any moment."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from random import Random
from typing import Any

from leadenrich.config import QueueSettings, RealEstateApiSettings, RuleEntry
from leadenrich.core.job import Claim, Event
from leadenrich.core.retry import RetryPolicy
from leadenrich.enrich.mapping import compile_mapping
from leadenrich.enrich.pipeline import Pipeline
from leadenrich.enrich.rules import compile_rules
from leadenrich.store.connection import Connection
from leadenrich.store.errors import StoreUnavailable
from leadenrich.store.purchases import Purchases
from leadenrich.store.queue import Queue
from leadenrich.store.sightings import Sightings
from leadenrich.store.switches import Switches
from leadenrich.worker.maintenance import Heart, Watch, every
from leadenrich.worker.outages import Outages
from leadenrich.worker.pool import Pool
from leadenrich.worker.runner import Runner
from simulation.clock import VirtualLoop, VirtualTime, owner
from simulation.redis import SimulatedRedis, Wire
from simulation.vendors import Port, Vendors

TRIGGER = "enrich-me"
RUN_LIMIT_S = 9 * 15.0 + 60
FLIGHT_S = 15.0 + 15


@dataclass(frozen=True, slots=True)
class Setting:
    """How the simulated daemons are configured."""

    queue: QueueSettings
    seller: RealEstateApiSettings
    concurrency: int
    duplicates: bool  # whether the rule of the duplicate lead is on
    jitter: float


class _Clock:
    def __init__(self, clock: VirtualTime) -> None:
        self._clock = clock

    def now(self) -> Any:
        from datetime import UTC, datetime

        return datetime.fromtimestamp(self._clock.wall(), UTC)


class SimulatedDaemon:
    """One boot of a daemon. `tell` hears every event it reports."""

    def __init__(
        self,
        name: str,
        boot: int,
        loop: VirtualLoop,
        redis: SimulatedRedis,
        vendors: Vendors,
        setting: Setting,
        rng: Random,
        tell: Callable[..., None],
    ) -> None:
        self.name = name
        self.tag = f"{name}#{boot}"
        self._loop, self._setting, self._tell = loop, setting, tell
        self._wire, self._port = Wire(redis), Port(vendors)
        self._context = contextvars.copy_context()
        self._context.run(owner.set, self.tag)
        self._stop = asyncio.Event()
        self._condemned: list[Claim] = []
        connection = Connection(self._wire, embedded=True)
        self.queue = Queue(connection, setting.queue, worker=name, trigger_tags=(TRIGGER,))
        self._wire_up(connection, _Clock(vendors.clock), rng)
        self._life = self.spawn(self._live())

    @property
    def ended(self) -> bool:
        return self._life.done()

    def _wire_up(self, connection: Connection, clock: _Clock, rng: Random) -> None:
        setting, queue, sightings = self._setting, self.queue, Sightings(connection, self.queue.keys)
        purchases = Purchases(connection, self._port, setting.seller, flight_s=FLIGHT_S, worker=queue.owner)
        rules = () if setting.duplicates else (RuleEntry(code="DUPLICATE_LEAD", enabled=False),)
        pipeline = Pipeline(
            self._port,
            purchases,
            sightings,
            sightings,
            clock,
            mapping=compile_mapping("standard", {}),
            rules=compile_rules("standard", rules),
        )
        self._outages = Outages(Switches(connection, queue.keys), report=self._report)
        self._runner = Runner(
            queue,
            pipeline,
            self._outages,
            RetryPolicy(setting.queue.attempts, setting.queue.backoff_delay, setting.jitter),
            limit_s=RUN_LIMIT_S,
            patience_s=setting.queue.lease,
            report=self._report,
            rng=rng,
        )
        self._pool = Pool(queue, self._runner, concurrency=setting.concurrency, grace_s=25.0)
        self._heart = Heart(queue, lambda: self._pool.claims, about=self.tag)
        self._watch = Watch(
            queue, lease_s=setting.queue.lease, on_reclaimed=self._reclaimed, monotonic=lambda: time.monotonic()
        )

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """A task of this process: it dies with it."""
        return self._context.run(self._loop.create_task, work)

    def end(self) -> None:
        """SIGTERM."""
        self._stop.set()

    async def gone(self) -> None:
        await asyncio.wait([self._life])
        if not self._life.cancelled():
            self._life.result()

    async def kill(self, *, unheard: bool = False) -> None:
        """kill -9: nothing more is sent, nothing is settled. Cleaning up reaches neither Redis nor a vendor."""
        self._wire.kill(unheard=unheard)
        self._port.cut = True
        while tasks := self._loop.tasks_of(self.tag):
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=0.001)
        with contextlib.suppress(asyncio.CancelledError):
            await self._life

    async def _live(self) -> None:
        await self._patiently(self.queue.open)
        for job_id, word in (await self._patiently(self.queue.takeover)).items():
            await self._reclaimed(job_id, word)
        third_s, drained = self._setting.queue.lease / 3, asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(every(third_s, drained, self._heart.beat))
            group.create_task(every(third_s, drained, self._look))
            group.create_task(every(30.0, self._stop, lambda: self._outages.look_again(self._port.check)))
            await self._pool.run(self._stop)
            drained.set()

    async def _patiently(self, ask: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """A daemon that finds no Redis at its start is started again."""
        while True:
            try:
                return await ask()
            except StoreUnavailable:
                await asyncio.sleep(0.5)

    async def _look(self) -> None:
        await self._watch.look()
        while self._condemned:
            await self._runner.leave_failed_mark(self._condemned.pop())

    async def _reclaimed(self, job_id: str, word: str) -> None:
        try:
            claim = await self.queue.peek(job_id)
        except StoreUnavailable:
            return
        if claim is not None:
            self._report(Event.STALLED, claim, word=word)
            if word == "condemned":
                self._condemned.append(claim)

    def _report(self, event: Event, claim: Claim | None = None, **more: Any) -> None:
        if not self._port.cut:
            self._tell(self.tag, event.value, claim.job_id if claim else "", more)
