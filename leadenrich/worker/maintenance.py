"""Loops beside the pool: beat for our own leases, watch those of others."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence

import structlog

from leadenrich.core.job import Claim
from leadenrich.store.errors import StoreUnavailable
from leadenrich.store.queue import Queue

log = structlog.get_logger("leadenrich.worker")

SHORTEST_REST_S = 0.01

Reclaimed = Callable[[str, str], Awaitable[None]]


class Watch:
    """Finds leases whose beat stood still for a whole lease by *this process's* monotonic clock.

    No wall clock takes part: a jump of Redis' or ours neither steals a live job nor hides a dead one.
    """

    def __init__(
        self,
        queue: Queue,
        *,
        lease_s: float,
        on_reclaimed: Reclaimed,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._lease_s = lease_s
        self._on_reclaimed = on_reclaimed
        self._monotonic = monotonic
        self._seen: dict[str, tuple[float, float]] = {}

    @property
    def rest_s(self) -> float:
        """How long until the next look. Nobody's lease is longer unseen than two thirds of one, and a dead one ends
        on time: so its job is queued again within two leases."""
        if not self._seen:
            return self._lease_s * 2 / 3
        first_end = min(since for _, since in self._seen.values()) + self._lease_s
        return max(SHORTEST_REST_S, min(self._lease_s / 3, first_end - self._monotonic()))

    async def look(self) -> list[str]:
        """One look at all leases; the ids taken back. Raises: StoreUnavailable."""
        leases, now = await self._queue.leases(), self._monotonic()
        taken = []
        before, self._seen = self._seen, {}
        for lease in leases:
            beat, since = before.get(lease.job_id, (lease.beat, now))
            if beat != lease.beat:
                since = now
            self._seen[lease.job_id] = (lease.beat, since)
            if now - since >= self._lease_s:
                word = await self._queue.reclaim(lease.job_id, lease.beat)
                if word in ("reclaimed", "condemned"):
                    taken.append(lease.job_id)
                    await self._on_reclaimed(lease.job_id, word)
        return taken


class Heart:
    """One beat for all jobs in hand; with none, one each `idle_s` still tells that a daemon of this name lives."""

    def __init__(
        self,
        queue: Queue,
        claims: Callable[[], Sequence[Claim]],
        *,
        idle_s: float = 0.0,
        about: str = "",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._claims = claims
        self._idle_s = idle_s
        self._about = about
        self._monotonic = monotonic
        self._last = float("-inf")

    async def beat(self) -> None:
        """Raises: StoreUnavailable."""
        claims, now = self._claims(), self._monotonic()
        if not claims and now - self._last < self._idle_s:
            return
        lost = await self._queue.extend(claims, self._about)
        self._last = now
        if lost:
            # The fence stops them: their next checkpoint is refused, and so is everything behind it.
            log.warning("leases_lost", jobs=sorted(lost))


async def every(
    seconds: float | Callable[[], float], stop: asyncio.Event, act: Callable[[], Awaitable[object]]
) -> None:
    """Calls `act` at once and then each `seconds` until `stop`; a store that is away is tried again next time.

    `seconds` may be asked anew after each call.
    """
    while not stop.is_set():
        try:
            await act()
        except StoreUnavailable as error:
            log.warning("store_away", error=str(error))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds() if callable(seconds) else seconds):
                await stop.wait()
