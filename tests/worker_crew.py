"""A worker with a scripted handler, put together as the daemon does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any, TypeAlias

from queue_desk import Desk

from leadenrich.config import QueueSettings
from leadenrich.core.job import Claim, Event, Outcome
from leadenrich.core.retry import Complete, RetryPolicy
from leadenrich.store.connection import Connection
from leadenrich.store.queue import Queue
from leadenrich.store.switches import Switches
from leadenrich.worker.maintenance import Heart
from leadenrich.worker.outages import Outages
from leadenrich.worker.pool import Pool
from leadenrich.worker.runner import Runner
from leadenrich.worker.steps import JobSteps

Act: TypeAlias = Callable[[Claim, JobSteps], Awaitable[Complete | None]]
WaitUntil: TypeAlias = Callable[..., Awaitable[None]]


class Script:
    """What the jobs do. `act` is asked first; what it does not answer is QUALIFIED."""

    def __init__(self) -> None:
        self.act: Act | None = None
        self.runs: list[Claim] = []
        self.marks: list[str] = []
        self.now = self.most = 0

    async def run(self, claim: Claim, steps: JobSteps) -> Complete:
        self.runs.append(claim)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            answer = await self.act(claim, steps) if self.act else None
            return answer or Complete(Outcome.QUALIFIED)
        finally:
            self.now -= 1

    async def leave_failed_mark(self, claim: Claim) -> None:
        self.marks.append(claim.contact_id)


class Told:
    """What was reported, in order."""

    def __init__(self) -> None:
        self.events: list[tuple[Event, str, dict[str, Any]]] = []

    def __call__(self, event: Event, claim: Claim | None = None, **more: Any) -> None:
        self.events.append((event, claim.contact_id if claim else more.get("provider", ""), more))

    def names(self, about: str | None = None) -> list[str]:
        return [event.value for event, who, _ in self.events if about in (None, who)]


class Crew:
    """One worker, put together as the daemon does."""

    def __init__(self, connection: Connection, worker: str, concurrency: int, grace_s: float, **settings: Any) -> None:
        made = QueueSettings(**{"lease": 1.0, "backoff_delay": 0.01, **settings})
        self.connection = connection
        self.queue = Queue(connection, made, worker=worker)
        self.desk = Desk(connection, self.queue)
        self.script, self.told, self.problems = Script(), Told(), [""]
        self.switches = Switches(connection, self.queue.keys)
        self.outages = Outages(self.switches, report=self.told)
        self.runner = Runner(
            self.queue,
            self.script,
            self.outages,
            RetryPolicy(made.attempts, made.backoff_delay),
            limit_s=5.0,
            patience_s=made.lease,
            report=self.told,
            rng=Random(1),
        )
        self.pool = Pool(
            self.queue,
            self.runner,
            concurrency=concurrency,
            grace_s=grace_s,
            embedded=connection.embedded,
            problem=lambda text: self.problems.append(text or ""),
        )
        self.heart = Heart(self.queue, lambda: self.pool.claims)
        self.stop = asyncio.Event()

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        async with asyncio.timeout(20):
            task = asyncio.create_task(self.pool.run(self.stop))
            try:
                yield
            finally:
                self.stop.set()
                await task

    async def ended(self, *contacts: str) -> bool:
        """Whether these contacts' jobs have ended."""
        told = [who for event, who, _ in self.told.events if event in (Event.COMPLETED, Event.FAILED)]
        return all(contact in told for contact in contacts)


MakeCrew: TypeAlias = Callable[..., Crew]
