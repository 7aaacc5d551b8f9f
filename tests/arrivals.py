"""Look-ups counted where the vendor counts: by their arrival at the fake RealEstateAPI."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from pathlib import Path

from daemon_process import DaemonProcess, look_ups

from leadenrich.sandbox.server import Sandbox

LOOK_S = 0.005


class Lateness:
    """How much a busy machine may have moved what is counted.

    The vendor counts late when this process is late to look at its socket; a daemon sends late when it is kept from the
    processor, or busy, between a call's turn and its sending: for no longer than it was seen not to rest at all.
    """

    def __init__(self, *daemons: DaemonProcess) -> None:
        self._daemons = daemons
        self.most_s = 0.0

    async def __aenter__(self) -> Lateness:
        self._task = asyncio.create_task(self._measure())
        return self

    async def __aexit__(self, *error: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _measure(self) -> None:
        restless_s = dict.fromkeys(self._daemons, 0.0)
        before_s = {daemon: runnable_s(daemon) for daemon in self._daemons}
        looked = time.monotonic()
        while True:
            await asyncio.sleep(LOOK_S)
            passed_s = time.monotonic() - looked
            looked += passed_s
            self.most_s = max(self.most_s, passed_s - LOOK_S)
            for daemon in self._daemons:
                now_s = runnable_s(daemon)
                rested = now_s - before_s[daemon] < 0.9 * passed_s
                restless_s[daemon] = 0.0 if rested else restless_s[daemon] + passed_s
                before_s[daemon] = now_s
                self.most_s = max(self.most_s, restless_s[daemon])


def runnable_s(daemon: DaemonProcess) -> float:
    """How long its main thread has run or waited for a processor; 0 while it is dead."""
    try:
        running_ns, waiting_ns, _ = Path(f"/proc/{daemon.pid}/schedstat").read_text().split()
    except OSError:
        return 0.0
    return (int(running_ns) + int(waiting_ns)) / 1e9


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
