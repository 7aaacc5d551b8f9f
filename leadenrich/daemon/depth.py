"""The queue's depth for /metrics: read only while somebody scrapes, so that an idle daemon leaves Redis alone."""

from __future__ import annotations

import time
from collections.abc import Mapping

from leadenrich.config import Config
from leadenrich.core.job import JobState, Lane, Reason
from leadenrich.store.errors import StoreUnavailable
from leadenrich.store.views import Stats, Views
from leadenrich.telemetry.metrics import QueueDepth, provider_label

ASKED_WITHIN_S = 120.0


class DepthGauge:
    """`shown` answers a scrape with what was read last; `refresh` reads again where a scrape came lately."""

    def __init__(self, views: Views, config: Config) -> None:
        self._views = views
        self.reconfigure(config)
        self._asked_at = float("-inf")
        self._last: QueueDepth | None = None

    def reconfigure(self, config: Config) -> None:
        """The day's limit is shown beside what was used."""
        self._credits_limit = config.realestateapi.daily_credits

    def shown(self) -> QueueDepth | None:
        """None when nothing is known: the first scrape, and while Redis is away."""
        self._asked_at = time.monotonic()
        return self._last

    async def refresh(self) -> None:
        """Raises: StoreUnavailable; then the next scrape shows nothing."""
        if time.monotonic() - self._asked_at > ASKED_WITHIN_S:
            self._last = None
            return
        try:
            stats, oldest_s = await self._views.stats(), await self._views.oldest_waiting_s()
            self._last = _depth(stats, oldest_s, await self._views.credits_today(), self._credits_limit)
        except StoreUnavailable:
            self._last = None
            raise


def _depth(stats: Stats, oldest_s: Mapping[Lane, float], credits_today: int, credits_limit: int) -> QueueDepth:
    paused: dict[str, int] = {}
    for name, provider in stats.providers.items():
        if provider.paused:
            paused[provider_label(name)] = paused.get(provider_label(name), 0) + 1
    return QueueDepth(
        {(lane, state): stats.lanes[lane.value][state.value] for lane in Lane for state in JobState},
        oldest_s,
        stats.paused is not None,
        paused,
        credits_today,
        credits_limit,
        stats.totals["unknown_purchases"],
        {reason: stats.totals.get(f"reason:{reason.value}", 0) for reason in Reason},
    )
