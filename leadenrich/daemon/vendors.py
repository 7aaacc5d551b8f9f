"""The two vendors' clients and the enrichment that uses them: what a reload replaces as a whole."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from leadenrich.config import Config
from leadenrich.core.errors import Trouble
from leadenrich.daemon.clock import now_ms
from leadenrich.enrich.mapping import compile_mapping
from leadenrich.enrich.needs import Clock
from leadenrich.enrich.pipeline import Choices, Pipeline
from leadenrich.enrich.rules import compile_rules
from leadenrich.providers.ghl import Ghl, provider_name
from leadenrich.providers.ghl_limits import BURST, WINDOW_S, below
from leadenrich.providers.pace import Pace, Turnstile
from leadenrich.providers.realestateapi import PROVIDER, RealEstateApi
from leadenrich.store.boots import Boots
from leadenrich.store.connection import Connection
from leadenrich.store.limiter import SharedPace
from leadenrich.store.purchases import Purchases
from leadenrich.store.queue import Queue
from leadenrich.store.sightings import Sightings
from leadenrich.telemetry.metrics import Metrics

DAEMONS_MOST = 16  # that are reckoned with where a limiter is shared: each as many jobs at once as this one

log = structlog.get_logger("leadenrich.daemon")


@dataclass(frozen=True, slots=True)
class Vendors:
    """One configuration's clients. `close` when no job uses them any more."""

    rea: RealEstateApi
    ghl: Ghl
    pipeline: Pipeline

    async def check(self, provider: str) -> None:
        """One free call to the provider named. Raises: Trouble, when it does not serve us."""
        if provider == "realestateapi":
            await self.rea.key_info()
        elif provider.startswith("ghl:"):
            await self.ghl.location(provider.removeprefix("ghl:"))

    async def warm(self, locations: list[str]) -> dict[str, Trouble]:
        """Opens connections and reads field ids, side by side; who did not answer, and how, by provider."""
        began = time.monotonic()
        calls = {"realestateapi": self.rea.key_info()} | {
            provider_name(location): self.ghl.custom_fields(location) for location in locations
        }
        answers = await asyncio.gather(*calls.values(), return_exceptions=True)
        troubles: dict[str, Trouble] = {}
        for provider, answer in zip(calls, answers, strict=True):
            if isinstance(answer, Trouble):
                troubles[provider] = answer
            elif isinstance(answer, BaseException):
                raise answer
        log.debug("providers_warm", seconds=round(time.monotonic() - began, 3))
        return troubles

    def take_over(self, former: Vendors) -> None:
        """These serve from now on. The paces go on: beside new ones, those of jobs in flight would double the rate.

        Both must have one `worker.rate_scope`.
        """
        self.rea.take_over(former.rea)
        self.ghl.take_over(former.ghl)

    async def close(self) -> None:
        await self.rea.close()
        await self.ghl.close()


def open_vendors(
    config: Config,
    connection: Connection,
    queue: Queue,
    *,
    metrics: Metrics,
    clock: Clock,
    full_since: float,
    remember: bool = True,
) -> Vendors:
    """Builds the clients; nothing is connected yet. `full_since`: see Pace, `remember`: see Sightings.

    Raises: SettingFaults.
    """
    shared = config.worker.rate_scope == "shared"
    pace: Turnstile = Pace(config.worker.rate_per_second, full_since=full_since)
    if shared:
        pace = SharedPace(connection, PROVIDER, min(_rates(config), default=0.0))

    def paces_of(provider: str) -> Sequence[Turnstile]:
        limit = below(config.ghl.requests_per_10s)
        return (SharedPace(connection, provider, limit, WINDOW_S, burst=BURST),) if shared else ()

    def on_call(provider: str, endpoint: str, status: int | None, seconds: float, waited_s: float | None) -> None:
        metrics.provider_call(provider, endpoint, status, seconds, waited_s)
        log.debug("provider_call", provider=provider, endpoint=endpoint, status=status, seconds=round(seconds, 3))

    private = config.server.allow_private_upstreams
    rea = RealEstateApi(
        config.realestateapi,
        now_ms=now_ms,
        paces=(pace,),
        on_call=on_call,
        full_since=full_since,
        allow_private=private,
    )
    ghl = Ghl(config.ghl, now_ms=now_ms, on_call=on_call, allow_private=private, paces_of=paces_of)
    purchases = Purchases(
        connection,
        rea,
        config.realestateapi,
        flight_s=config.realestateapi.timeout + turn_s(config) + 15,
        worker=queue.owner,
        is_over=Boots(connection, queue.keys).is_over,
        on_credit=metrics.credits.inc,
        on_cached=metrics.cache_hits.inc,
    )
    sightings = Sightings(connection, queue.keys, remember=remember)
    pipeline = Pipeline(
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
    return Vendors(rea, ghl, pipeline)


def turn_s(config: Config) -> float:
    """How long a job may wait for its turn at the limiter when all others, in a shared one all daemons', go first."""
    jobs = config.worker.concurrency * (DAEMONS_MOST if config.worker.rate_scope == "shared" else 1)
    return jobs / min(_rates(config), default=float("inf"))


def _rates(config: Config) -> list[float]:
    """The two that a look-up keeps; none that is no limit."""
    return [rate for rate in (config.worker.rate_per_second, config.realestateapi.rate_per_second) if rate]
