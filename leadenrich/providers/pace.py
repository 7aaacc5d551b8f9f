"""Never more than so many takes in any window, wherever the window begins, and nearly all of them used.

aiolimiter spreads the takes; a log of the last ones is the guarantee. The limiter alone is a bucket: after a pause it
lets a burst through, and its own late timers shift it, so two neighbouring windows can share one take too many.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from aiolimiter import AsyncLimiter

GUARD: Final = 1.03  # the vendor counts arrivals: a busy machine or network moves those by 20 ms and more
TIMER_SLACK_S: Final = 0.0015  # an event loop's timer wakes up to this late; one at a time it would add up
ONE_AT_A_TIME_MAX: Final = 10.0  # takes a second; above it a burst of two makes up for late timers
CLEAN_S: Final = 60.0  # so long without a complaint and the rate is raised again
RAISE: Final = 1.25


class Turnstile(Protocol):
    """What a call waits at right before it is sent: a Pace, or a limiter shared by several daemons."""

    async def take(self) -> None: ...


class Pace:
    """At most `limit` takes in any `window_s` seconds; first come, first served; safe to cancel.

    `limit` 0 means no limit. Below one take a window the window is stretched: 0.5 a second is one in two seconds.
    `burst` takes may come at once after a pause (default: one, above 10 a second two, or 2 % of the rate).
    `full_since`, a time of `clock`: the process began then, and its predecessor may have used up the window before.
    """

    def __init__(
        self,
        limit: float,
        window_s: float = 1.0,
        *,
        burst: int | None = None,
        full_since: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._configured = self._ceiling = self._limit = limit
        self._named = math.inf  # the vendor's own limit, once it told one
        self._window_s = window_s
        self._burst = burst
        self._clock = clock
        self._log: deque[float] = deque(maxlen=max(1, math.floor(limit)))
        if full_since is not None and limit > 0:
            self._log.extend([full_since] * (self._log.maxlen or 1))
        self._complaint_at = -math.inf
        self._turn = asyncio.Lock()  # its queue is first in, first out
        self._limiter = self._spread()

    @property
    def rate(self) -> float:
        """Takes a second at present; 0 = no limit."""
        return self._limit / self._window_s

    async def take(self) -> None:
        """Wait for a turn. A cancelled wait takes nothing."""
        if not self._configured:
            return
        async with self._turn:
            self._recover()
            await self._limiter.acquire()
            # A loop around the sleep: timers may wake early, and meanwhile the rate may have been halved.
            while (wait_s := self._wait_s()) > 0:  # noqa: ASYNC110
                await asyncio.sleep(wait_s)
            self._log.append(self._clock())

    def replaced_by(self, successor: Turnstile) -> Turnstile:
        """What takes turns from now on: this one, under the other's limit, for calls in flight still wait at it.

        A pace that is shared has its memory elsewhere: the successor itself.
        """
        if not isinstance(successor, Pace):
            return successor
        self.configure(successor._configured)
        return self

    def configure(self, limit: float) -> None:
        """Another limit from now on; what was taken counts on, a complaint too, and what the vendor named for itself.

        Whoever waits already keeps the turn it was told, unless the new limit makes it a later one.
        """
        was_full, most = self._limit == self._ceiling, max(1, math.floor(limit), self._log.maxlen or 1)
        # While there was no limit nobody counted: the window may be full.
        self._log = deque(self._log if self._configured else [self._clock()] * most, maxlen=most)
        self._configured = limit
        self._ceiling = min(limit, self._named)
        self._set(self._ceiling if was_full else min(self._limit, self._ceiling))

    def slow_down(self) -> None:
        """The vendor complained: halve the rate. Each clean minute raises it by a quarter, up to the configured one."""
        self._recover()
        self._complaint_at = self._clock()
        # Never below one in a minute: a rate near zero would not find its way back.
        self._set(max(self._limit / 2, min(self._ceiling, self._window_s / CLEAN_S)))

    def cap(self, limit: float) -> None:
        """The vendor names its own limit for a window: stay at or below it, and never above the configured one."""
        if limit <= 0 or not self._configured:
            return
        was_full = self._limit == self._ceiling
        self._named = limit
        self._ceiling = min(limit, self._configured)
        if self._ceiling < self._limit or was_full:
            self._set(self._ceiling)

    def observe(self, remaining: int) -> None:
        """The vendor says how many takes its window still has: what others used up is counted as taken just now."""
        if not self._configured:
            return
        now = self._clock()
        used = sum(1 for taken in self._log if taken > now - self._window_s)
        others = math.floor(self._limit) - used - remaining
        self._log.extend([now] * max(0, min(others, self._log.maxlen or 1)))

    def _wait_s(self) -> float:
        return due(self._log, self._limit, self._window_s) - self._clock() if self._configured else 0.0

    def _recover(self) -> None:
        while self._limit < self._ceiling and self._clock() - self._complaint_at >= CLEAN_S:
            self._complaint_at += CLEAN_S
            self._set(min(self._ceiling, self._limit * RAISE))

    def _set(self, limit: float) -> None:
        if limit != self._limit:
            self._limit = limit
            self._limiter = self._spread()

    def _spread(self) -> AsyncLimiter:
        rate = self.rate or 1.0
        if self._burst is not None and self._limit > self._burst:
            return AsyncLimiter(self._burst, self._burst / rate)
        if rate > ONE_AT_A_TIME_MAX:
            burst = max(2, round(rate * 0.02))
            return AsyncLimiter(burst, burst / rate)
        return AsyncLimiter(1, max(0.5 / rate, 1 / rate - TIMER_SLACK_S))


def due(log: deque[float], limit: float, window_s: float) -> float:
    """When the next take may come: `limit` takes before it must have left the window, guard included."""
    whole = max(1, math.floor(limit))
    if len(log) < whole:
        return -math.inf
    stretch = max(1.0, 1.0 / limit)
    return log[-whole] + window_s * stretch * GUARD
