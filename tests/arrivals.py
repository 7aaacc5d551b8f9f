"""Look-ups counted where the vendor counts: by their arrival at the fake RealEstateAPI."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left

from daemon_process import look_ups

from leadenrich.sandbox.server import Sandbox


class Lateness:
    """How late this process, which plays the vendor, was to look at its socket: on a busy machine it counts late."""

    def __init__(self) -> None:
        self.most_s = 0.0

    async def __aenter__(self) -> Lateness:
        self._task = asyncio.create_task(self._measure())
        return self

    async def __aexit__(self, *error: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _measure(self) -> None:
        while True:
            due = time.monotonic() + 0.005
            await asyncio.sleep(0.005)
            self.most_s = max(self.most_s, time.monotonic() - due)


def most_in_a_second(times: list[float], lateness: Lateness) -> int:
    """The largest number of arrivals in any second, wherever it begins, less what the count itself may be late by."""
    window_s = 1.0 - min(lateness.most_s, 0.2)
    return max(bisect_left(times, begin + window_s) - index for index, begin in enumerate(times))


def arrivals(sandbox: Sandbox) -> list[float]:
    """Monotonic seconds, in order."""
    return sorted(call.time for call in look_ups(sandbox))


async def all_asked(sandbox: Sandbox, houses: int) -> None:
    """Waits quietly: this process is the vendor, and what it does beside reading its socket blurs the count."""
    deadline = time.monotonic() + 25
    while len({call.address_key for call in look_ups(sandbox)}) < houses:
        assert time.monotonic() < deadline, "not all houses were asked for"
        await asyncio.sleep(0.2)
