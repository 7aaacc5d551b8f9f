"""A measurement waits until the machine is quiet: what others use of it is no figure of ours."""

from __future__ import annotations

import time
from pathlib import Path

from bench.process import TICK

BUSY_CORES = 0.3
LOOK_S = 0.5


def quiet(within_s: float) -> float:
    """Waits until all others together use less than 0.3 cores, `within_s` at most; the cores they used last."""
    deadline = time.monotonic() + within_s
    while True:
        before, began = _busy_ticks(), time.monotonic()
        time.sleep(LOOK_S)
        used = (_busy_ticks() - before) / TICK / (time.monotonic() - began)
        if used < BUSY_CORES or time.monotonic() > deadline:
            return used


def _busy_ticks() -> int:
    ticks = [int(it) for it in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    idle, waiting_for_disk = ticks[3], ticks[4]
    return sum(ticks) - idle - waiting_for_disk
