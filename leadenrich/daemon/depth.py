"""The queue's depth for /metrics: read only while somebody scrapes, so that an idle daemon leaves Redis alone."""

from __future__ import annotations

import time

from leadenrich.core.job import JobState, Lane
from leadenrich.store.errors import StoreUnavailable
from leadenrich.store.views import Stats, Views
from leadenrich.telemetry.metrics import QueueDepth, provider_label

ASKED_WITHIN_S = 120.0


class DepthGauge:
    """`shown` answers a scrape with what was read last; `refresh` reads again where a scrape came lately."""

    def __init__(self, views: Views) -> None:
        self._views = views
        self._asked_at = float("-inf")
        self._last: QueueDepth | None = None

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
            self._last = _depth(await self._views.stats())
        except StoreUnavailable:
            self._last = None
            raise


def _depth(stats: Stats) -> QueueDepth:
    paused: dict[str, int] = {}
    for name, provider in stats.providers.items():
        if provider.paused:
            paused[provider_label(name)] = paused.get(provider_label(name), 0) + 1
    return QueueDepth(
        {(lane, state): stats.lanes[lane.value][state.value] for lane in Lane for state in JobState},
        stats.oldest_waiting_seconds or 0.0,
        stats.paused is not None,
        paused,
    )
