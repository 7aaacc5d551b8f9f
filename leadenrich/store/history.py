"""How the queue did: its running totals, kept once a minute in a ring, and how long leads took, from ids and ends.

Nothing of it is written where leads pass: a loop beside them copies what the scripts have counted anyway. The ring
holds a sample each minute of a day and each hour of two weeks, so it never grows; a sample tells its own minute, so an
old one in its place is known as such.

A sample stands for the totals as its minute began: it is taken then, and who comes later within the minute (a daemon
that started in it) leaves it as it is. Else what ended in between would stand in the chart a minute early.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Final

import msgspec

from leadenrich.core.job import Lane, Outcome, Reason
from leadenrich.store.connection import Connection
from leadenrich.store.job_id import created_ms
from leadenrich.store.job_list import scored
from leadenrich.store.schema import Keys

FAILED: Final = "FAILED"  # ended in FAILED_FINAL without an outcome, and not by a person's cancel
_MINUTES: Final = 1440
_HOURS: Final = 336
_TIMED_MAX: Final = 300  # newest successes looked at for the time from webhook to written
_NEWS_MIN: Final = 3  # minutes: what is older tells nothing of the rate now


class Period(StrEnum):
    """How far a chart looks back."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"


_STEPS: Final = {Period.HOUR: (1, 60), Period.DAY: (15, 96), Period.WEEK: (120, 84)}  # minutes each, and how many


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """The totals at a minute since 1970; `calls` are those made to each kind of vendor by all daemons."""

    minute: int
    ended: dict[str, int]
    calls: dict[str, int] = {}


@dataclass(frozen=True, slots=True)
class Chart:
    """What ended in each step of a period. `starts` are seconds since 1970; `since_s` is where the history begins.

    `series` has a count a step for each outcome, and for FAILED: those that failed without one and were not cancelled.
    """

    period: Period
    step_s: int
    starts: list[int]
    series: dict[str, list[int]]
    since_s: int | None

    def total(self, name: str) -> int:
        return sum(self.series[name])


@dataclass(frozen=True, slots=True)
class Speed:
    """Seconds from a live lead's webhook to its written contact, over the newest `leads` of a period."""

    leads: int
    p50_s: float
    p95_s: float


class History:
    """Every method raises StoreUnavailable. `calls_made` counts this process' calls to each kind of vendor."""

    def __init__(
        self,
        connection: Connection,
        keys: Keys,
        *,
        calls_made: Callable[[], Mapping[str, int]] = dict,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._connection = connection
        self._keys = keys
        self._calls_made = calls_made
        self._clock = clock
        self._told: dict[str, int] = {}

    @property
    def rest_s(self) -> float:
        """Until the next minute begins: when to sample again."""
        return 60.0 - self._clock() % 60.0

    async def sample(self) -> None:
        """Keep the totals of this minute, unless that was done; of the calls those that all daemons told so far."""
        made = dict(self._calls_made())
        news = {name: count - self._told.get(name, 0) for name, count in made.items()}
        pipeline = self._connection.pipeline()
        for name, count in news.items():
            if count > 0:
                pipeline.hincrby(self._keys.history, f"calls:{name}", count)
        if any(count > 0 for count in news.values()):
            await self._connection.flush(pipeline)
        self._told = made
        now = await self._now()
        for _, kept in await self._samples([now.minute]):
            now = msgspec.structs.replace(now, ended=kept.ended)
        raw = msgspec.json.encode(now)
        places = [_minute_place(now.minute)]
        if not await self._samples([now.minute], by_hour=True):  # of an hour its first is kept
            places.append(_hour_place(now.minute))
        pipeline = self._connection.pipeline()
        pipeline.hset(self._keys.history, mapping=dict.fromkeys(places, raw))
        pipeline.hsetnx(self._keys.history, "first", raw)
        await self._connection.flush(pipeline)

    async def chart(self, period: Period) -> Chart:
        """Up to now; the last step is still running."""
        step, count = _STEPS[period]
        now = await self._now()
        first = (now.minute // step - count + 1) * step
        starts = [first + number * step for number in range(count)]
        samples = await self._samples(starts, by_hour=period is Period.WEEK)
        raw = await self._connection.execute("HGET", self._keys.history, "first")
        if raw and (begin := msgspec.json.decode(raw, type=Sample)).minute > first:  # within a step: nothing before it
            samples.insert(0, (begin.minute, begin))
        series: dict[str, list[int]] = {name.value: [0] * count for name in Outcome} | {FAILED: [0] * count}
        for (_, before), (upto, after) in pairwise([*samples, (now.minute + 1, now)]):
            place = min(count - 1, (upto - 1 - first) // step)
            for name, total in after.ended.items():
                series[name][place] += max(0, total - before.ended.get(name, 0))
        since_s = samples[0][1].minute * 60 if samples else None
        return Chart(period, step * 60, [start * 60 for start in starts], series, since_s)

    async def calls_a_second(self) -> dict[str, float]:
        """The rate of the last whole minute by kind of vendor (`realestateapi`, `ghl`); none where nobody sampled."""
        minute = int(self._clock() // 60)
        samples = await self._samples(list(range(minute - _NEWS_MIN, minute + 1)))
        if len(samples) < 2:
            return {}
        (_, before), (_, after) = samples[-2:]
        seconds = max(1, after.minute - before.minute) * 60
        return {name: max(0, count - before.calls.get(name, 0)) / seconds for name, count in after.calls.items()}

    async def speed(self, period: Period) -> Speed | None:
        """None where no live lead was written in that time. Imports wait on purpose: they are left out."""
        step, count = _STEPS[period]
        since = round((self._clock() - step * count * 60) * 1000)
        query = ("ZRANGE", self._keys.done, "+inf", since, "BYSCORE", "REV", "LIMIT", 0, _TIMED_MAX, "WITHSCORES")
        rows = scored(await self._connection.execute(*query))
        if not rows:
            return None
        pipeline = self._connection.pipeline()
        for row in rows:
            pipeline.hget(self._keys.job(row.job_id), "lane")
        lanes = await self._connection.flush(pipeline)
        live = Lane.LIVE.value.encode()
        took = sorted(
            max(0, row.score - created_ms(row.job_id)) / 1000
            for row, lane in zip(rows, lanes, strict=True)
            if lane == live
        )
        return Speed(len(took), _quantile(took, 0.5), _quantile(took, 0.95)) if took else None

    async def _now(self) -> Sample:
        pipeline = self._connection.pipeline()
        pipeline.hgetall(self._keys.counts)
        pipeline.hmget(self._keys.history, ["calls:realestateapi", "calls:ghl"])
        counts, calls = await self._connection.flush(pipeline)
        made = {name: int(value) for name, value in zip(("realestateapi", "ghl"), calls, strict=True) if value}
        return Sample(int(self._clock() // 60), _ended(counts), made)

    async def _samples(self, minutes: Sequence[int], *, by_hour: bool = False) -> list[tuple[int, Sample]]:
        """Those that are there of these minutes (or hours, by a minute of each), in that order."""
        place, unit = (_hour_place, 60) if by_hour else (_minute_place, 1)
        found = await self._connection.execute("HMGET", self._keys.history, *(place(minute) for minute in minutes))
        read = [
            (minute, msgspec.json.decode(raw, type=Sample)) for minute, raw in zip(minutes, found, strict=True) if raw
        ]
        return [(minute, sample) for minute, sample in read if sample.minute // unit == minute // unit]


def _minute_place(minute: int) -> str:
    return f"m{minute % _MINUTES}"


def _hour_place(minute: int) -> str:
    return f"h{minute // 60 % _HOURS}"


def _ended(counts: Mapping[bytes, bytes]) -> dict[str, int]:
    """Jobs that ended so far. A job without an outcome has a reason; NO_MATCH and NO_ADDRESS have both.

    Who cancels leads knows of them: they are no failure that somebody should look after.
    """
    ended = {name.value: int(counts.get(f"outcome:{name}".encode(), 0)) for name in Outcome}
    failures = sum(int(value) for name, value in counts.items() if name.startswith(b"reason:"))
    failures -= int(counts.get(f"reason:{Reason.CANCELLED}".encode(), 0))
    return ended | {FAILED: max(0, failures - ended[Outcome.NO_MATCH] - ended[Outcome.NO_ADDRESS])}


def _quantile(ordered: Sequence[float], share: float) -> float:
    """The least value that `share` of them do not exceed."""
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]
