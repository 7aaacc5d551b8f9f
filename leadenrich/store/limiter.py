"""A rate shared by all daemons on this Redis: each start is booked, first come first served, so nobody herds."""

from __future__ import annotations

import asyncio

from leadenrich.store.connection import Connection
from leadenrich.store.schema import pace_key
from leadenrich.store.scripts import Script

# Timers and the network shift what was booked: without a guard three daemons put 8 to 10 starts into a second of 5.
GUARD = 0.05


class SharedPace:
    """`take()` returns when this start may happen: at most `limit` in any `window_s` seconds; 0 is no limit.

    `burst` of them may come at once after a pause.
    """

    def __init__(
        self, connection: Connection, provider: str, limit: float, window_s: float = 1.0, *, burst: int = 1
    ) -> None:
        self._key = pace_key(provider)
        burst = burst if limit > burst else 1
        self._interval_us = round(1_000_000 * window_s * (1 + GUARD) / (limit - burst + 1)) if limit else 0
        self._ahead_us = self._interval_us * (burst - 1)
        self._reserve = Script(connection, "reserve")

    async def take(self) -> None:
        """Raises: StoreUnavailable."""
        if self._interval_us:
            wait_us = int(await self._reserve([self._key], [self._interval_us, self._ahead_us]))
            await asyncio.sleep(wait_us / 1_000_000)
