"""The worker half: providers, enrichment, pool and the loops beside it, wired together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

import structlog

from leadenrich.config import Config
from leadenrich.core.address import warm
from leadenrich.core.errors import ProviderOut, Trouble
from leadenrich.core.job import Event
from leadenrich.core.retry import RetryPolicy
from leadenrich.daemon.clock import now_ms, process_start
from leadenrich.daemon.reporter import Reporter
from leadenrich.enrich.mapping import compile_mapping
from leadenrich.enrich.needs import Clock
from leadenrich.enrich.pipeline import Choices, Pipeline
from leadenrich.enrich.rules import compile_rules
from leadenrich.providers.ghl import Ghl, provider_name
from leadenrich.providers.pace import Pace, Turnstile
from leadenrich.providers.realestateapi import RealEstateApi
from leadenrich.store.connection import Connection
from leadenrich.store.limiter import SharedPace
from leadenrich.store.purchases import Purchases
from leadenrich.store.queue import Queue
from leadenrich.store.sightings import Sightings
from leadenrich.store.switches import Switches
from leadenrich.telemetry.health import Health
from leadenrich.telemetry.metrics import Metrics
from leadenrich.worker.maintenance import Heart, Watch, every
from leadenrich.worker.outages import Outages
from leadenrich.worker.pool import Pool
from leadenrich.worker.runner import Runner

log = structlog.get_logger("leadenrich.daemon")

CALLS_OF_A_JOB = 9  # contact, two look-ups, field list, PUT, tags on and off, notes read and written


@dataclass(frozen=True, slots=True)
class WorkerHalf:
    """What the daemon runs and shows of the worker."""

    pool: Pool
    outages: Outages
    heart: Heart
    watch: Watch
    rea: RealEstateApi
    ghl: Ghl
    queue: Queue
    lease_s: float
    look_again_s: float

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop`, then drains. The beat goes on until the last job is handed back."""
        drained = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(every(self.lease_s / 3, drained, self.heart.beat), name="heart")
            group.create_task(every(self.lease_s / 3, drained, self.watch.look), name="watch")
            group.create_task(every(self.look_again_s, stop, self._look_again), name="look-again")
            await self.pool.run(stop)
            drained.set()

    async def _look_again(self) -> None:
        await self.outages.look_again(partial(check_provider, self.rea, self.ghl))


@asynccontextmanager
async def open_worker(
    config: Config,
    connection: Connection,
    queue: Queue,
    *,
    metrics: Metrics,
    health: Health,
    report: Reporter,
    clock: Clock,
    probe_s: float,
) -> AsyncIterator[WorkerHalf]:
    """Opens the clients, takes over what an earlier boot left, warms what a first job would load."""
    async with AsyncExitStack() as stack:
        started = process_start()
        pace: Turnstile = Pace(config.worker.rate_per_second, full_since=started)
        if config.worker.rate_scope == "shared":
            pace = SharedPace(connection, "realestateapi", config.worker.rate_per_second)
        on_call = partial(_count_call, metrics)
        rea = await stack.enter_async_context(
            RealEstateApi(config.realestateapi, now_ms=now_ms, paces=(pace,), on_call=on_call, full_since=started)
        )
        ghl = await stack.enter_async_context(Ghl(config.ghl, now_ms=now_ms, on_call=on_call))
        pipeline = _pipeline(config, connection, queue, rea, ghl, metrics, clock)
        outages = Outages(
            Switches(connection, queue.keys), report=report, now_ms=now_ms, probe_ms=round(probe_s * 1000)
        )
        runner = Runner(
            queue,
            pipeline,
            outages,
            RetryPolicy(config.queue.attempts, config.queue.backoff_delay, config.queue.backoff_jitter),
            limit_s=run_limit_s(config),
            patience_s=config.queue.lease,
            report=report,
        )
        pool = Pool(
            queue,
            runner,
            concurrency=config.worker.concurrency,
            grace_s=config.worker.shutdown_grace,
            embedded=connection.embedded,
            problem=lambda text: health.report("worker", "redis", text),
        )
        metrics.in_flight_jobs.set_function(lambda: len(pool.claims))

        async def on_reclaimed(job_id: str, word: str) -> None:
            report(Event.STALLED, job_id=job_id)
            if word == "condemned":
                report(Event.FAILED, job_id=job_id, reason="stalled")

        for job_id, word in (await queue.takeover()).items():
            await on_reclaimed(job_id, word)
        await asyncio.to_thread(warm)
        await _warm_providers(config, rea, ghl, outages)
        lease_s = config.queue.lease
        yield WorkerHalf(
            pool,
            outages,
            Heart(queue, lambda: pool.claims),
            Watch(queue, lease_s=lease_s, on_reclaimed=on_reclaimed),
            rea,
            ghl,
            queue,
            lease_s,
            probe_s,
        )


def run_limit_s(config: Config) -> float:
    """How long one run of a job may take: its calls' timeouts, and its turn at the limiter among all others."""
    calls = CALLS_OF_A_JOB * max(config.realestateapi.timeout, config.ghl.timeout)
    return calls + _turn_s(config) + 60


def _turn_s(config: Config) -> float:
    rates = [rate for rate in (config.worker.rate_per_second, config.realestateapi.rate_per_second) if rate]
    return config.worker.concurrency / min(rates) if rates else 0.0


def _pipeline(
    config: Config,
    connection: Connection,
    queue: Queue,
    rea: RealEstateApi,
    ghl: Ghl,
    metrics: Metrics,
    clock: Clock,
) -> Pipeline:
    purchases = Purchases(
        connection,
        rea,
        config.realestateapi,
        flight_s=config.realestateapi.timeout + _turn_s(config) + 15,
        on_credit=lambda credits: metrics.credits.inc(credits),
    )
    sightings = Sightings(connection, queue.keys)
    return Pipeline(
        ghl,
        purchases,
        sightings,
        sightings,
        clock,
        mapping=compile_mapping(config.enrichment.preset, config.mapping),
        rules=compile_rules(config.enrichment.preset, config.rules),
        choices=Choices(
            address_fields=config.ghl.address_fields,
            notes=config.ghl.notes,
            second_spelling=config.realestateapi.second_spelling,
        ),
    )


def _count_call(metrics: Metrics, provider: str, endpoint: str, status: int | None, seconds: float) -> None:
    metrics.provider_call(provider, endpoint, "error" if status is None else status, seconds)
    log.debug("provider_call", provider=provider, endpoint=endpoint, status=status, seconds=round(seconds, 3))


async def check_provider(rea: RealEstateApi, ghl: Ghl, name: str) -> None:
    """One free call to the provider named. Raises: Trouble, when it does not serve us."""
    if name == "realestateapi":
        await rea.key_info()
    elif name.startswith("ghl:"):
        await ghl.location(name.removeprefix("ghl:"))


async def _warm_providers(config: Config, rea: RealEstateApi, ghl: Ghl, outages: Outages) -> None:
    """Connections and field ids, side by side. A vendor that is away must not keep the daemon from starting."""

    async def fields(location_id: str) -> None:
        try:
            await ghl.custom_fields(location_id)
        except Trouble as error:
            await _note_start(outages, provider_name(location_id), error)

    async def key() -> None:
        try:
            await rea.key_info()
        except Trouble as error:
            await _note_start(outages, "realestateapi", error)

    began = time.monotonic()
    await asyncio.gather(key(), *(fields(location.id) for location in config.ghl.locations))
    log.debug("providers_warm", seconds=round(time.monotonic() - began, 3))


async def _note_start(outages: Outages, provider: str, error: Trouble) -> None:
    log.warning("provider_not_warm", provider=provider, error=str(error))
    if isinstance(error, ProviderOut) and error.kind in ("auth", "certificate"):
        await outages.pause(error)
