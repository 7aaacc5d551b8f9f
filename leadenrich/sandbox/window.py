"""HighLevel's limits for one location: a burst window and a day, told in headers with every answer."""

from __future__ import annotations

import time
from collections import deque
from datetime import UTC, datetime, timedelta
from typing import Final

_UNLIMITED: Final = 1_000_000


class RateWindow:
    """At most `burst` calls in any `interval_s` seconds and `daily` calls a UTC day. 0: no limit."""

    def __init__(self, burst: int = 100, interval_s: float = 10.0, daily: int = 200_000) -> None:
        self.burst = burst or _UNLIMITED
        self.interval_s = interval_s
        self.daily = daily or _UNLIMITED
        self._taken: deque[float] = deque()
        self._day = datetime.now(UTC).date()
        self._today = 0
        self.highest = 0  # the most calls that any interval has held

    def take(self) -> bool:
        """Count a call in; False when it is one too many, which is then not counted."""
        self._forget()
        if len(self._taken) >= self.burst or self._today >= self.daily:
            return False
        self._taken.append(time.monotonic())
        self._today += 1
        self.highest = max(self.highest, len(self._taken))
        return True

    def spend_day(self) -> None:
        """Use up what is left of the day."""
        self._today = self.daily

    def headers(self) -> dict[str, str]:
        """The five headers, and the day's reset in milliseconds once the day is spent."""
        self._forget()
        day_left = max(0, self.daily - self._today)
        headers = {
            "X-RateLimit-Max": str(self.burst),
            "X-RateLimit-Remaining": str(self.burst - len(self._taken)),
            "X-RateLimit-Interval-Milliseconds": str(int(self.interval_s * 1000)),
            "X-RateLimit-Limit-Daily": str(self.daily),
            "X-RateLimit-Daily-Remaining": str(day_left),
        }
        if not day_left:
            headers["X-RateLimit-Daily-Reset"] = str(_ms_to_midnight(datetime.now(UTC)))
        return headers

    def _forget(self) -> None:
        horizon = time.monotonic() - self.interval_s
        while self._taken and self._taken[0] <= horizon:
            self._taken.popleft()
        today = datetime.now(UTC).date()
        if today != self._day:
            self._day, self._today = today, 0


def _ms_to_midnight(now: datetime) -> int:
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return int((midnight - now).total_seconds() * 1000)
