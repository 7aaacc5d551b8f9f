"""What is closed for every job of a provider until a named time, and how the time grows when none is named."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from leadenrich.core.errors import Throttled

BACKOFF_S: Final = 1.0
BACKOFF_S_MAX: Final = 60.0
DAY_MS: Final = 86_400_000


class Shutter:
    """Closes by the monotonic clock, so a jump of the wall clock neither opens it nor keeps it shut.

    What it tells outside is wall-clock time: `now_ms` gives epoch milliseconds.
    """

    __slots__ = ("_clock", "_closed_until", "_now_ms", "_provider", "_row", "_why")

    def __init__(
        self, provider: str, *, now_ms: Callable[[], int], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._provider = provider
        self._now_ms = now_ms
        self._clock = clock
        self._closed_until = 0.0
        self._row = 0  # complaints without a good answer between them
        self._why = ""

    def check(self) -> None:
        """Raises: Throttled, while it is closed."""
        left_s = self._closed_until - self._clock()
        if left_s > 0:
            raise Throttled(self._why, provider=self._provider, until_ms=self._until_ms(left_s))

    def close(self, seconds: float, why: str) -> int:
        """Shut for so long, or as long as it is shut already. Returns until when, epoch milliseconds."""
        until = self._clock() + seconds
        if until >= self._closed_until:
            self._closed_until, self._why = until, why
        return self._until_ms(self._closed_until - self._clock())

    def complain(self, named_s: float | None, why: str) -> int:
        """Shut after a 429: for the time it names, and at least 1 s x 2^(complaints in a row), at most a minute."""
        if self._clock() >= self._closed_until:
            self._row += 1  # answers to calls that were under way together are one complaint
        backoff_s = min(BACKOFF_S * 2.0 ** min(self._row - 1, 10), BACKOFF_S_MAX)
        return self.close(max(named_s or 0.0, backoff_s), why)

    def answered(self) -> None:
        """A good answer came. One that was under way when the shutter fell proves nothing."""
        if self._clock() >= self._closed_until:
            self._row = 0

    def _until_ms(self, left_s: float) -> int:
        return self._now_ms() + round(left_s * 1000)


def seconds_to_midnight_utc(now_ms: int) -> float:
    """Seconds until the next 00:00 UTC, when daily allowances begin anew. Never 0."""
    return (DAY_MS - now_ms % DAY_MS) / 1000
