"""Reading only: one job, lists, counts. Shapes are those of the admin API."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from leadenrich.core.job import JobState, Lane
from leadenrich.core.times import iso
from leadenrich.store.connection import Connection
from leadenrich.store.job_view import JobView, StepView, Time, job_view
from leadenrich.store.schema import Keys, credits_key
from leadenrich.store.switches import Switches

__all__ = ["BadCursor", "JobPage", "JobQuery", "JobView", "ProviderView", "Stats", "StepView", "Views"]

SCANNED_MAX = 2_000
PAGE_MAX = 200
CHUNK = 100


class JobPage(msgspec.Struct, frozen=True):
    """A part of a list."""

    jobs: list[JobView]
    next_cursor: Annotated[str | None, Meta(description="What to give as cursor for the next part; null at the end.")]


class JobQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What to list. `limit` is at most 200."""

    state: JobState | None = None
    lane: Lane | None = None
    contact: Annotated[str | None, Meta(description="A contact's id.")] = None
    location: Annotated[str | None, Meta(description="A location's id.")] = None
    q: Annotated[str | None, Meta(description="A job's id, a contact's id, or text that is anywhere in the lead.")] = (
        None
    )
    limit: Annotated[int, Meta(ge=1, le=999_999, description="Most jobs in the answer; never more than 200.")] = 50
    cursor: Annotated[str | None, Meta(description="The next_cursor of an earlier answer.")] = None


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


class BadCursor(ValueError):
    """The cursor is not one of ours."""


class Views:
    """Every method raises StoreUnavailable. `rates` are the configured calls a second by provider."""

    def __init__(self, connection: Connection, keys: Keys, *, rates: dict[str, float] | None = None) -> None:
        self._connection = connection
        self._keys = keys
        self._rates = rates or {}
        self._switches = Switches(connection, keys)

    async def job(self, job_id: str) -> JobView | None:
        [view] = await self._load([job_id])
        return view

    async def jobs(self, query: JobQuery) -> JobPage:
        """Newest first within a state: waiting, at work, to be retried, failed, succeeded.

        Read in the direction that jobs move, so that one which moves meanwhile is seen, and once. A page ends after
        `limit` hits or 2,000 jobs looked at; the cursor goes on from there. Raises: BadCursor.
        """
        sources = self._sources(query.state)
        at, offset = _cursor(query.cursor, len(sources))
        limit, scanned = max(1, min(query.limit, PAGE_MAX)), 0
        hits: list[JobView] = []
        seen: set[str] = set()
        while at < len(sources):
            ids = await self._slice(sources[at], offset)
            for position, view in enumerate(await self._load(ids)):
                if view is None or view.id in seen or sources[at][2] not in (None, view.state):
                    continue
                if _fits(view, query):
                    seen.add(view.id)
                    hits.append(view)
                    if len(hits) == limit:
                        return JobPage(hits, f"{at}.{offset + position + 1}")
            scanned += len(ids)
            at, offset = (at, offset + CHUNK) if len(ids) == CHUNK else (at + 1, 0)
            if scanned >= SCANNED_MAX and at < len(sources):
                return JobPage(hits, f"{at}.{offset}")
        return JobPage(hits, None)

    async def stats(self) -> Stats:
        keys = self._keys
        day = datetime.now(UTC).date().isoformat()
        pipeline = self._connection.pipeline()
        pipeline.hgetall(keys.counts)
        for lane in (keys.suspects, keys.wait_live, keys.wait_bulk):
            pipeline.lindex(lane, 0)
        counts, *heads = await self._connection.flush(pipeline)
        credits = await self._connection.execute("GET", credits_key("realestateapi", day))
        pauses = await self._switches.all()
        finished = await self._finished_within(60)
        return Stats(
            lanes=_lanes(counts),
            oldest_waiting_seconds=await self._oldest_s([head.decode() for head in heads if head]),
            rates={"finished_per_minute": float(finished)},
            providers=self._providers(pauses, int(credits or 0)),
            totals=_totals(counts),
            paused=pauses[""].reason if "" in pauses else None,
        )

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

    async def _finished_within(self, seconds: int) -> int:
        since = round((datetime.now(UTC).timestamp() - seconds) * 1000)
        pipeline = self._connection.pipeline()
        pipeline.zcount(self._keys.done, since, "+inf")
        pipeline.zcount(self._keys.dead, since, "+inf")
        return sum(await self._connection.flush(pipeline))

    async def _oldest_s(self, ids: Sequence[str]) -> float | None:
        pipeline = self._connection.pipeline()
        for job_id in ids:
            pipeline.hget(self._keys.job(job_id), "created")
        created = [int(value) for value in await self._connection.flush(pipeline) if value] if ids else []
        return round(max(0.0, datetime.now(UTC).timestamp() - min(created) / 1000), 3) if created else None

    def _sources(self, state: JobState | None) -> list[tuple[str, str, str | None]]:
        """(kind, key, state a member must have), newest last within each; in the direction that jobs move."""
        k = self._keys
        waiting: list[tuple[str, str, str | None]] = [
            ("list", key, None) for key in (k.wait_live, k.wait_bulk, k.suspects)
        ]
        ended: list[tuple[str, str, str | None]] = [("zset", k.dead, None), ("zset", k.done, None)]
        if state is None:
            return [*waiting, ("zset", k.lease, None), ("zset", k.sched, None), *ended]
        by_state: dict[JobState, list[tuple[str, str, str | None]]] = {
            JobState.QUEUED: [*waiting, ("zset", k.sched, "QUEUED")],
            JobState.PROCESSING: [("zset", k.lease, None)],
            JobState.RETRY_SCHEDULED: [("zset", k.sched, "RETRY_SCHEDULED")],
            JobState.FAILED_FINAL: ended[:1],
            JobState.SUCCEEDED: ended[1:],
        }
        return by_state[state]

    async def _slice(self, source: tuple[str, str, str | None], offset: int) -> list[str]:
        kind, key, _ = source
        command = "LRANGE" if kind == "list" else "ZRANGE"
        ids = await self._connection.execute(command, key, -(offset + CHUNK), -(offset + 1))
        return [job_id.decode() for job_id in reversed(ids)]

    async def _load(self, ids: Sequence[str]) -> list[JobView | None]:
        if not ids:
            return []
        keys, pipeline = self._keys, self._connection.pipeline()
        for job_id in ids:
            pipeline.hgetall(keys.job(job_id))
            pipeline.get(keys.load(job_id))
            pipeline.get(keys.timeline(job_id))
            pipeline.hgetall(keys.steps(job_id))
        answers = await self._connection.flush(pipeline)
        return [job_view(job_id, *answers[i * 4 : i * 4 + 4]) for i, job_id in enumerate(ids)]


def _fits(view: JobView, query: JobQuery) -> bool:
    if query.state and view.state != query.state:
        return False
    if query.lane and view.lane != query.lane:
        return False
    if query.contact and view.contact_id != query.contact:
        return False
    if query.location and view.location_id != query.location:
        return False
    if query.q:
        text = msgspec.json.encode(view.lead).decode().casefold() if view.lead else ""
        return query.q in (view.id, view.contact_id) or query.q.casefold() in text
    return True


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


def _cursor(text: str | None, sources: int) -> tuple[int, int]:
    if not text:
        return 0, 0
    source, _, offset = text.partition(".")
    # Bounded before they are read: Python refuses to read an int of more than 4,300 digits.
    if not all(part.isascii() and part.isdigit() and len(part) < 12 for part in (source, offset)):
        raise BadCursor(text)
    return min(int(source), sources), int(offset)
