"""Reading only: one job with its timeline, lists, counts. Shapes are those of the admin API."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from leadenrich.core.job import JobState, Lane, StepRecord
from leadenrich.core.lead import Lead
from leadenrich.core.times import iso
from leadenrich.store.claims import steps_of
from leadenrich.store.connection import Connection
from leadenrich.store.schema import Keys, credits_key
from leadenrich.store.switches import Switches

SCANNED_MAX = 2_000
PAGE_MAX = 200
CHUNK = 100


class StepView(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str
    started_at: str
    ended_at: str | None
    cached: bool
    credits: int
    unknown: int = 0  # runs that died between intent and result: an unknown purchase each, where the step pays


class JobView(msgspec.Struct, frozen=True, kw_only=True):
    """A job as people see it. Times are ISO 8601 UTC with milliseconds."""

    id: str
    state: str
    lane: str
    contact_id: str
    location_id: str
    lead: Lead | None
    attempts_made: int
    max_attempts: int
    stalled_count: int
    created_at: str
    started_at: str | None
    finished_at: str | None
    next_attempt_at: str | None
    outcome: str | None
    reason: str | None
    error: str | None
    disqualified_by: list[str]
    steps: list[StepView]
    timeline: list[dict[str, Any]]


class JobPage(msgspec.Struct, frozen=True):
    jobs: list[JobView]
    next_cursor: str | None


class JobQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What to list. `q` is a job id, a contact id, or text of the lead. `limit` is at most 200."""

    state: JobState | None = None
    lane: Lane | None = None
    contact: str | None = None
    location: str | None = None
    q: str | None = None
    limit: int = 50
    cursor: str | None = None


class ProviderView(msgspec.Struct, frozen=True):
    paused: str | None
    until: str | None
    rate: float | None
    credits_today: int | None


class Stats(msgspec.Struct, frozen=True):
    lanes: dict[str, dict[str, int]]
    oldest_waiting_seconds: float | None
    rates: dict[str, float]
    providers: dict[str, ProviderView]
    totals: dict[str, int]
    paused: str | None  # why the queue takes no jobs


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
        return [_view(job_id, *answers[i * 4 : i * 4 + 4]) for i, job_id in enumerate(ids)]


def _view(
    job_id: str, raw: dict[bytes, bytes], load: bytes | None, timeline: bytes | None, steps: dict[bytes, bytes]
) -> JobView | None:
    if not raw:
        return None
    job = {key.decode(): value.decode() for key, value in raw.items()}
    return JobView(
        id=job_id,
        state=job["state"],
        lane=job["lane"],
        contact_id=job["contact"],
        location_id=job["location"],
        lead=_lead(load),
        attempts_made=int(job.get("tries", 0)),
        max_attempts=int(job["max"]),
        stalled_count=int(job.get("stalls", 0)),
        created_at=iso(int(job["created"])),
        started_at=iso(int(job["started"])) if "started" in job else None,
        finished_at=iso(int(job["finished"])) if "finished" in job else None,
        next_attempt_at=iso(int(job["next"])) if "next" in job else None,
        outcome=job.get("outcome") or None,
        reason=job.get("reason") or None,
        error=job.get("error") or None,
        disqualified_by=[code for code in job.get("codes", "").split(",") if code],
        steps=[_step(step) for step in sorted(steps_of(steps).values(), key=lambda step: step.started_ms)],
        timeline=_timeline(int(job["created"]), timeline),
    )


def _step(step: StepRecord) -> StepView:
    ended = iso(step.ended_ms) if step.ended_ms else None
    return StepView(step.name, iso(step.started_ms), ended, step.cached, step.credits, step.unknown)


def _timeline(created_ms: int, lines: bytes | None) -> list[dict[str, Any]]:
    """`queued` is not kept as a line: a waiting job costs no key for it."""
    entries: list[dict[str, Any]] = [{"time": iso(created_ms), "event": "queued"}]
    for line in (lines or b"").splitlines():
        event, ms, attempt, detail = json.loads(line)
        entries.append({"time": iso(ms), "event": event, "attempt": attempt, **(detail or {})})
    return entries


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


def _lead(payload: bytes | None) -> Lead | None:
    try:
        return msgspec.json.decode(payload, type=Lead) if payload else None
    except msgspec.DecodeError:
        return None


def _cursor(text: str | None, sources: int) -> tuple[int, int]:
    if not text:
        return 0, 0
    source, _, offset = text.partition(".")
    if not (source.isascii() and source.isdigit() and offset.isascii() and offset.isdigit() and len(offset) < 12):
        raise BadCursor(text)
    return min(int(source), sources), int(offset)
