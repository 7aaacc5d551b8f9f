"""Reading only: one job, lists, counts. Shapes are those of the admin API."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from redis.asyncio.client import Pipeline

from leadenrich.core.job import JobState, Lane, Reason
from leadenrich.core.times import iso
from leadenrich.store.connection import Connection
from leadenrich.store.job_list import BadCursor, JobList, JobPage, JobQuery
from leadenrich.store.job_view import JobView, StepView, Time
from leadenrich.store.schema import Keys, credits_key
from leadenrich.store.switches import Pause, Switches

__all__ = ["BadCursor", "JobPage", "JobQuery", "JobView", "ProviderView", "Stats", "StepView", "Views"]


class ProviderView(msgspec.Struct, frozen=True):
    """A vendor: `realestateapi`, or `ghl:` and a location's id."""

    paused: Annotated[str | None, Meta(description="What kind of pause, and why; null while calls are made.")]
    until: Annotated[Time | None, Meta(description="null where a person, or a call that tries it out, ends the pause.")]
    rate: Annotated[float | None, Meta(description="Calls a second that are allowed; 0 is no limit.")]
    credits_today: Annotated[int | None, Meta(description="null where no credits are counted.")]


class Stats(msgspec.Struct, frozen=True):
    """The queue at a glance."""

    lanes: Annotated[dict[str, dict[str, int]], Meta(description="Jobs by lane and state.")]
    oldest_waiting_seconds: Annotated[float | None, Meta(description="null while nothing waits.")]
    rates: Annotated[dict[str, float], Meta(examples=[{"finished_per_minute": 12.0}])]
    providers: Annotated[dict[str, ProviderView], Meta(description="By the provider's name.")]
    totals: Annotated[
        dict[str, int], Meta(description="Since the queue began: credits, unknown_purchases, outcome:…, reason:….")
    ]
    paused: Annotated[str | None, Meta(description="Why the queue takes no jobs; null while it does.")]


class Views:
    """Every method raises StoreUnavailable. `rates` are the configured calls a second by provider."""

    def __init__(self, connection: Connection, keys: Keys, *, rates: dict[str, float] | None = None) -> None:
        self._connection = connection
        self._keys = keys
        self._rates = rates or {}
        self._switches = Switches(connection, keys)
        self._list = JobList(connection, keys)

    async def job(self, job_id: str) -> JobView | None:
        return await self._list.whole(job_id)

    async def jobs(self, query: JobQuery) -> JobPage:
        """Raises: BadCursor."""
        return await self._list.page(query)

    async def stats(self) -> Stats:
        pipeline = self._connection.pipeline()
        pipeline.hgetall(self._keys.counts)
        self._ask_heads(pipeline)
        counts, *heads = await self._connection.flush(pipeline)
        credits = await self.credits_today()
        pauses = await self._switches.all()
        finished = await self.finished_within(60)
        ages = await self._ages(heads)
        return Stats(
            lanes=_lanes(counts),
            oldest_waiting_seconds=max(ages.values(), default=None),
            rates={"finished_per_minute": float(finished)},
            providers=self._providers(pauses, credits),
            totals=_totals(counts),
            paused=pauses[""].reason if "" in pauses else None,
        )

    async def pauses(self) -> dict[str, Pause]:
        """What holds leads back now: by a provider's name, or "" for the queue itself."""
        now_ms = time.time_ns() // 1_000_000
        return {name: pause for name, pause in (await self._switches.all()).items() if pause.holds(now_ms)}

    async def credits_today(self) -> int:
        """RealEstateAPI credits since 00:00 UTC, of every queue on this Redis."""
        day = datetime.now(UTC).date().isoformat()
        return int(await self._connection.execute("GET", credits_key("realestateapi", day)) or 0)

    async def oldest_waiting_s(self) -> dict[Lane, float]:
        """Seconds since the creation of each lane's oldest waiting job; a lane where nothing waits is absent."""
        pipeline = self._connection.pipeline()
        self._ask_heads(pipeline)
        return await self._ages(await self._connection.flush(pipeline))

    async def last_ended(self, most: int) -> list[Reason | None]:
        """How the last jobs that are kept ended, the newest first: None succeeded, else why not."""
        pipeline = self._connection.pipeline()
        for ended in (self._keys.done, self._keys.dead):
            pipeline.zrange(ended, -most, -1, withscores=True)
        succeeded, failed = await self._connection.flush(pipeline)
        newest = sorted([(at, b"") for _, at in succeeded] + [(at, job_id) for job_id, at in failed], reverse=True)
        ends = [job_id.decode() for _, job_id in newest[:most]]
        pipeline = self._connection.pipeline()
        for job_id in filter(None, ends):
            pipeline.hget(self._keys.job(job_id), "reason")
        reasons = iter(await self._connection.flush(pipeline) if any(ends) else ())
        return [_reason(next(reasons)) if job_id else None for job_id in ends]

    def _providers(self, pauses: dict[str, Any], credits: int) -> dict[str, ProviderView]:
        names = [*self._rates, *(name for name in pauses if name and name not in self._rates)]
        views = {}
        for name in names:
            pause = pauses.get(name)
            views[name] = ProviderView(
                f"{pause.kind}: {pause.reason}" if pause else None,
                iso(pause.until_ms) if pause and pause.until_ms else None,
                self._rates.get(name),
                credits if name == "realestateapi" else None,
            )
        return views

    async def finished_within(self, seconds: int) -> int:
        """How many jobs ended in the last seconds, of those that are kept."""
        since = round((datetime.now(UTC).timestamp() - seconds) * 1000)
        pipeline = self._connection.pipeline()
        pipeline.zcount(self._keys.done, since, "+inf")
        pipeline.zcount(self._keys.dead, since, "+inf")
        return sum(await self._connection.flush(pipeline))

    def _ask_heads(self, pipeline: Pipeline) -> None:
        for waiting in (self._keys.suspects, self._keys.wait_live, self._keys.wait_bulk):
            pipeline.lindex(waiting, 0)

    async def _ages(self, heads: Sequence[bytes | None]) -> dict[Lane, float]:
        pipeline = self._connection.pipeline()
        for head in filter(None, heads):
            pipeline.hmget(self._keys.job(head.decode()), "lane", "created", "state")
        now, ages = datetime.now(UTC).timestamp(), dict[Lane, float]()
        for lane, created, state in await self._connection.flush(pipeline) if any(heads) else ():
            if state == b"QUEUED":  # else it was cancelled and stays until a claim passes over it
                age = round(max(0.0, now - int(created) / 1000), 3)
                ages[Lane(lane.decode())] = max(age, ages.get(Lane(lane.decode()), 0.0))
        return ages


def _reason(value: bytes | None) -> Reason:
    """A job that was removed between two looks had one that nobody can tell any more."""
    return Reason(value.decode()) if value else Reason.INTERNAL_ERROR


def _lanes(counts: dict[bytes, bytes]) -> dict[str, dict[str, int]]:
    return {
        lane.value: {state.value: int(counts.get(f"{lane.value}:{state.value}".encode(), 0)) for state in JobState}
        for lane in Lane
    }


def _totals(counts: dict[bytes, bytes]) -> dict[str, int]:
    names = ("credits", "unknown_purchases")
    totals = {name: int(counts.get(name.encode(), 0)) for name in names}
    for name, value in sorted(counts.items()):
        if name.startswith((b"outcome:", b"reason:")):
            totals[name.decode()] = int(value)
    return totals
