"""The worker half: vendors, pool and the loops beside it, wired together."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
from msgspec.structs import replace

from leadenrich.config import Config
from leadenrich.core.address import warm
from leadenrich.core.errors import ProviderOut, Trouble
from leadenrich.core.job import Claim, Event, Reason
from leadenrich.core.retry import RetryPolicy
from leadenrich.daemon.clock import process_start
from leadenrich.daemon.reporter import Reporter
from leadenrich.daemon.vendors import Vendors, open_vendors, turn_s
from leadenrich.enrich.needs import Clock
from leadenrich.store.boots import Boots
from leadenrich.store.connection import Connection
from leadenrich.store.daemons import Daemons
from leadenrich.store.errors import StoreUnavailable
from leadenrich.store.history import History
from leadenrich.store.queue import Queue
from leadenrich.store.switches import Switches
from leadenrich.telemetry.health import Health
from leadenrich.telemetry.metrics import Metrics
from leadenrich.worker.maintenance import Heart, Watch, every
from leadenrich.worker.outages import Outages
from leadenrich.worker.pool import Pool
from leadenrich.worker.runner import Runner

log = structlog.get_logger("leadenrich.daemon")

LEAVE_S = 1.0
CALLS_OF_A_JOB = 9  # contact, two look-ups, field list, PUT, tags on and off, notes read and written


class WorkerHalf:
    """What the daemon runs and shows of the worker."""

    def __init__(
        self,
        config: Config,
        connection: Connection,
        queue: Queue,
        switches: Switches,
        *,
        metrics: Metrics,
        health: Health,
        report: Reporter,
        clock: Clock,
        probe_s: float,
    ) -> None:
        self._connection, self._queue, self._metrics, self._clock = connection, queue, metrics, clock
        self._report = report
        self._lease_s, self._probe_s = config.queue.lease, probe_s
        self._rate_scope = config.worker.rate_scope
        self._condemned: list[Claim] = []
        self._former: list[Vendors] = []
        self._vendors = self._open_vendors(config, full_since=process_start())
        self._switches = switches
        self.outages = Outages(switches, report=report, probe_ms=round(probe_s * 1000))
        self.runner = Runner(
            queue,
            self._vendors.pipeline,
            self.outages,
            RetryPolicy(config.queue.attempts, config.queue.backoff_delay, config.queue.backoff_jitter),
            limit_s=run_limit_s(config),
            patience_s=config.queue.lease,
            report=report,
        )
        self.pool = Pool(
            queue,
            self.runner,
            concurrency=config.worker.concurrency,
            grace_s=config.worker.shutdown_grace,
            embedded=connection.embedded,
            problem=lambda text: health.report("worker", "redis", text),
        )
        self._heart = Heart(queue, lambda: self.pool.claims, idle_s=self._lease_s, about=socket.gethostname())
        self._watch = Watch(queue, lease_s=self._lease_s, on_reclaimed=self._reclaimed)
        self._history = History(connection, queue.keys, calls_made=metrics.calls_made)
        metrics.in_flight_jobs.set_function(lambda: len(self.pool.claims))

    async def take_up(self, locations: Iterable[str]) -> None:
        """What an earlier boot left is taken over, what a first job would load is loaded. Raises: StoreUnavailable."""
        # A full Redis takes no new key, and a daemon that starts then must still work off what waits: without the
        # word, others only wait longer for what this worker's dead boot meant to buy.
        with contextlib.suppress(StoreUnavailable):
            await Boots(self._connection, self._queue.keys).announce(self._queue.owner)
        for job_id, word in (await self._queue.takeover()).items():
            await self._reclaimed(job_id, word)
        await asyncio.to_thread(warm)
        for provider, error in (await self._vendors.warm(list(locations))).items():
            await self._note_start(provider, error)

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop`, then drains. The beat ends with the last job, and leaves Redis."""
        drained = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(every(self._lease_s / 3, drained, self._heart.beat), name="heart")
            group.create_task(every(lambda: self._watch.rest_s, drained, self._look), name="watch")
            group.create_task(every(self._probe_s, stop, self._look_again), name="look-again")
            group.create_task(every(lambda: self._history.rest_s, stop, self._history.sample), name="history")
            await self.pool.run(stop)
            drained.set()
        # Whoever asks next is not told of a daemon that is gone. A Redis that is away delays no end by more than this.
        with contextlib.suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(LEAVE_S):
                await Daemons(self._connection, self._queue.keys).leave(self._queue.worker)

    def reconfigure(self, config: Config) -> None:
        """Jobs that start from now on use the new keys, mapping and rules, all of them the new rates.

        Raises: SettingFaults, and then nothing was changed.
        """
        former = self._vendors
        kept = replace(config.worker, rate_scope=self._rate_scope)
        vendors = self._open_vendors(replace(config, worker=kept), full_since=process_start())
        vendors.take_over(former)
        self._vendors, self.runner.handler = vendors, vendors.pipeline
        self._former.append(former)  # jobs in flight still use it

    def _open_vendors(self, config: Config, *, full_since: float) -> Vendors:
        return open_vendors(
            config, self._connection, self._queue, metrics=self._metrics, clock=self._clock, full_since=full_since
        )

    async def close(self) -> None:
        for vendors in (self._vendors, *self._former):
            await vendors.close()

    async def _look(self) -> None:
        await self._watch.look()
        while self._condemned:
            await self.runner.leave_failed_mark(self._condemned.pop())

    async def _look_again(self) -> None:
        if not self._switches.may_hold("auth", "certificate"):
            return  # another daemon that pauses one also looks; should it die, the store look tells us of the pause
        await self.outages.look_again(self._vendors.check)

    async def _reclaimed(self, job_id: str, word: str) -> None:
        claim = await self._queue.peek(job_id)
        if claim is None:
            return
        self._report(Event.STALLED, claim)
        if word == "condemned":
            why = "its process died too often while it ran alone"
            self._report(Event.FAILED, claim, reason=Reason.STALLED.value, error=why)
            self._condemned.append(claim)

    async def _note_start(self, provider: str, error: Trouble) -> None:
        """A vendor that is away must not keep the daemon from starting."""
        log.warning("provider_not_warm", provider=provider, error=str(error))
        if isinstance(error, ProviderOut) and error.kind in ("auth", "certificate"):
            await self.outages.pause(error)


@asynccontextmanager
async def open_worker(
    config: Config,
    connection: Connection,
    queue: Queue,
    switches: Switches,
    *,
    metrics: Metrics,
    health: Health,
    report: Reporter,
    clock: Clock,
    probe_s: float,
) -> AsyncIterator[WorkerHalf]:
    """Wired, taken over and warm. Raises: StoreUnavailable."""
    async with AsyncExitStack() as stack:
        half = WorkerHalf(
            config,
            connection,
            queue,
            switches,
            metrics=metrics,
            health=health,
            report=report,
            clock=clock,
            probe_s=probe_s,
        )
        stack.push_async_callback(half.close)
        await half.take_up(location.id for location in config.ghl.locations)
        yield half


def run_limit_s(config: Config) -> float:
    """How long one run of a job may take: its calls' timeouts, and its turn at the limiter among all others."""
    return CALLS_OF_A_JOB * max(config.realestateapi.timeout, config.ghl.timeout) + turn_s(config) + 60
