"""HighLevel's limits: so many calls in 10 s and in a day, per location, told by the headers of every answer.

Source: HighLevel's developer documentation, "Rate limits", and answers measured in 2026; `Retry-After` is not
documented, and honoured if it comes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from leadenrich.core.errors import Throttled
from leadenrich.providers.answers import RETRY_AFTER_S_MAX, Answer, retry_after_s, whole_number
from leadenrich.providers.pace import Pace, Turnstile
from leadenrich.providers.shutter import Shutter, seconds_to_midnight_utc

WINDOW_S: Final = 10.0
BURST: Final = 10
DAY_S: Final = 86_400.0
_EPOCH_MS_MIN: Final = 1_000_000_000_000  # a reset below this (the year 2001) is a duration


class LocationLimits:
    """The pace and the shutter of one location. `share` of its limit is ours, the rest is for other programs.

    `paces` are waited for behind its own, in their order.
    """

    def __init__(
        self,
        provider: str,
        requests_per_10s: int,
        *,
        now_ms: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
        share: float = 1.0,
        paces: Sequence[Turnstile] = (),
    ) -> None:
        self._provider = provider
        self._now_ms = now_ms
        self._share = share
        self._is_paced = requests_per_10s > 0
        self.pace = Pace(share * below(requests_per_10s), WINDOW_S, burst=BURST, clock=clock)
        self._paces = (self.pace, *paces)
        self._shutter = Shutter(provider, now_ms=now_ms, clock=clock)

    def take_over(self, former: LocationLimits) -> None:
        """Go on with the pace of the limits that these replace, whose last calls still wait there."""
        former.pace.replaced_by(self.pace)
        self.pace = former.pace
        self._paces = (self.pace, *self._paces[1:])

    def check(self) -> None:
        """Raises: Throttled, while the location is closed."""
        self._shutter.check()

    async def gate(self) -> None:
        """Wait for a turn. Raises: Throttled, when the location was closed meanwhile."""
        for pace in self._paces:
            await pace.take()
        self._shutter.check()  # it may have fallen while this call stood in the queue

    def heard(self, answer: Answer) -> None:
        """Take in what any answer tells. Raises: Throttled, for a 429; it was not carried out."""
        remaining = whole_number(answer.headers.get("X-RateLimit-Remaining"))
        most = whole_number(answer.headers.get("X-RateLimit-Max"))
        if most:
            self.pace.cap(self._share * below(most) * WINDOW_S / (_interval_s(answer) or WINDOW_S))
        if whole_number(answer.headers.get("X-RateLimit-Daily-Remaining")) == 0:
            until_ms = self._shutter.close(
                self._daily_reset_s(answer), f"{self._provider}: the day's calls are used up"
            )
        elif answer.status == 429:
            self.pace.slow_down()
            until_ms = self._shutter.complain(self._named_s(answer, remaining), answer.told())
        elif remaining is not None and remaining <= self._for_others(most):
            until_ms = self._shutter.close(_interval_s(answer) or WINDOW_S, f"{self._provider}: no calls left just now")
        else:
            self._shutter.answered()
            if remaining is not None:
                self.pace.observe(int(self._share * remaining))
            return
        if answer.status == 429:
            raise Throttled(answer.told(), provider=self._provider, until_ms=until_ms)

    def _for_others(self, most: int | None) -> int:
        """How many calls of the window are not ours. Our pace keeps to its share by itself, where there is one."""
        return 0 if self._is_paced or not most else int((1 - self._share) * most)

    def _named_s(self, answer: Answer, remaining: int | None) -> float | None:
        """What a 429 asks for: with no calls left the rest of the interval, at most; else what it names."""
        retry_s, interval_s = retry_after_s(answer.headers.get("Retry-After"), self._now_ms()), _interval_s(answer)
        if remaining == 0 and interval_s is not None:
            return max(interval_s, retry_s or 0.0)
        return interval_s if retry_s is None else retry_s

    def _daily_reset_s(self, answer: Answer) -> float:
        """Seconds until the day's calls begin anew: the reset header (epoch or duration, ms), else 00:00 UTC."""
        reset_ms = whole_number(answer.headers.get("X-RateLimit-Daily-Reset"))
        if reset_ms is not None and reset_ms >= _EPOCH_MS_MIN:
            reset_ms -= self._now_ms()
        if reset_ms is None or reset_ms <= 0:
            return seconds_to_midnight_utc(self._now_ms())
        return min(reset_ms / 1000, DAY_S)


def below(limit: int) -> float:
    """One less than allowed: a counter that never reaches zero never closes the location."""
    return float(limit - 1 if limit > 1 else limit)


def _interval_s(answer: Answer) -> float | None:
    interval_ms = whole_number(answer.headers.get("X-RateLimit-Interval-Milliseconds"))
    return min(interval_ms / 1000, RETRY_AFTER_S_MAX) if interval_ms else None
