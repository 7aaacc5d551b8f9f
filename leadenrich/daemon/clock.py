"""The process's clocks, injected wherever time matters."""

from __future__ import annotations

import time
from datetime import UTC, datetime

_IMPORTED = time.monotonic()


class SystemClock:
    """Wall-clock time, aware, UTC."""

    def now(self) -> datetime:
        return datetime.now(UTC)


def now_ms() -> int:
    """Epoch milliseconds by the wall clock."""
    return time.time_ns() // 1_000_000


def process_start() -> float:
    """Monotonic seconds at which this process surely ran already: its predecessor sent nothing after that."""
    return _IMPORTED
