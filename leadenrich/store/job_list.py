"""Lists of jobs: what to look for, and where a reader stands who comes back for the next part.

Redis keeps jobs by state, each state in its own way, so a list is read source by source, in the direction that jobs
move. A cursor names the last job that was looked at, not a count: jobs that come in shift nothing. A job that moves on
while somebody reads may be met again in its new state.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta
from redis.asyncio.client import Pipeline

from leadenrich.core.job import JobState, Lane, Outcome, Reason
from leadenrich.store.connection import Connection
from leadenrich.store.job_view import JobView, job_view, written_view
from leadenrich.store.payload import as_text
from leadenrich.store.schema import Keys
from leadenrich.store.scripts import Script
from leadenrich.store.text_filter import TextFilter

SCANNED_MAX = 2_000
PAGE_MAX = 200
CHUNK = 100
SIFTED_MAX = 20_000
SIFTED = 500  # in one call: it holds Redis up for half a millisecond
LEASES_MAX = 5_000
ID_TIME = 9  # characters of a job's id that tell the millisecond of its creation

Moment: TypeAlias = Annotated[
    datetime,
    Meta(tz=True, description="RFC 3339, with its zone.", examples=["2026-11-24T00:00:00Z"]),
]


CURSOR: Final = r"[0-9]\.[0-9]{0,16}\.[A-Za-z0-9_-]{0,64}"
Cursor: TypeAlias = Annotated[
    str | None,
    Meta(description="The next_cursor of an earlier answer.", extra_json_schema={"pattern": f"^{CURSOR}$"}),
]


class Failures(StrEnum):
    """Which of the jobs in FAILED_FINAL."""

    NOT_CANCELLED = "not_cancelled"
    UNEXPECTED = "unexpected"  # nor with an outcome: what the history and its chart count as FAILED


class JobFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs are meant: those that fit every member that is told."""

    lane: Lane | None = None
    contact: Annotated[str | None, Meta(description="A contact's id.")] = None
    location: Annotated[str | None, Meta(description="A location's id.")] = None
    q: Annotated[
        str | None,
        Meta(description="A job's id, a contact's id, a phone in any form, text or words anywhere in the lead."),
    ] = None
    outcome: Annotated[Outcome | None, Meta(description="The lead's fate.")] = None
    reason: Annotated[Reason | None, Meta(description="Why it ended in FAILED_FINAL.")] = None
    failure: Annotated[
        Failures | None,
        Meta(description="Failures that nobody cancelled; unexpected: of these, the ones without an outcome."),
    ] = None
    since: Annotated[Moment | None, Meta(description="Created at this time or later.")] = None
    until: Annotated[Moment | None, Meta(description="Created before this time.")] = None
    ended_since: Annotated[Moment | None, Meta(description="Ended at this time or later.")] = None


class JobQuery(JobFilter, frozen=True, kw_only=True):
    """What to list, and how much of it."""

    state: JobState | None = None
    limit: Annotated[int, Meta(ge=1, le=999_999, description="Most jobs in the answer; above 200: 200.")] = 50
    cursor: Cursor = None


class JobPage(msgspec.Struct, frozen=True):
    """A part of a list."""

    jobs: list[JobView]
    next_cursor: Annotated[str | None, Meta(description="What to give as cursor for the next part; null at the end.")]


class BadCursor(ValueError):
    """The cursor is not one of ours."""


@dataclass(frozen=True, slots=True)
class _Source:
    """One key that holds ids of jobs. `state` is what a member must be in, where the key holds several."""

    key: str
    kind: Literal["lane", "leases", "due", "ended"]
    state: JobState | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """The last job looked at in a source, and its score there; "" before the first."""

    job_id: str = ""
    score: int = 0


class JobList:
    """Every method raises StoreUnavailable."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys
        self._fitting = Script(connection, "fitting")

    async def page(self, query: JobQuery, *, only_waiting: bool = False) -> JobPage:
        """Waiting, at work, to be retried, failed, succeeded; the newest first, of what is due the next first.

        Ends after `limit` hits, 2,000 jobs read whole, or 20,000 asked for what a filter names; the cursor goes on from
        there. Raises: BadCursor.
        """
        sources = self._sources(query)
        if only_waiting and query.state is None:
            sources = [*self._lanes(), _Source(self._keys.sched, "due")]
        at, mark = _read_cursor(query.cursor, len(sources))
        limit, wanted = max(1, min(query.limit, PAGE_MAX)), _of_hash(query)
        # No more are read than are shown, where all fit that come so far.
        part = CHUNK if query.q or query.since or query.until or query.ended_since else min(limit, CHUNK)
        chunk, sifted, read = SIFTED if wanted else part, 0, 0
        hits: list[JobView] = []
        seen: set[str] = set()
        while at < len(sources):
            rows = await self._after(sources[at], mark, _earliest_end(query), chunk)
            likely = await self._likely(rows, wanted)
            async for row, view in self._loaded(await self._telling(likely, query.q), part):
                if view.id in seen or sources[at].state not in (None, view.state):
                    continue
                if _fits(view, query):
                    seen.add(view.id)
                    hits.append(view)
                    if len(hits) == limit:
                        return JobPage(hits, _cursor(at, row))
            sifted, read = sifted + len(rows), read + len(likely)
            at, mark = (at, rows[-1]) if rows else (at + 1, Mark())
            if (sifted >= SIFTED_MAX or read >= SCANNED_MAX) and at < len(sources):
                return JobPage(hits, _cursor(at, mark))
        return JobPage(hits, None)

    async def _loaded(self, rows: Sequence[Mark], part: int) -> AsyncIterator[tuple[Mark, JobView]]:
        """The jobs that are still there, read `part` by part: whoever has enough stops."""
        for first in range(0, len(rows), part):
            some = rows[first : first + part]
            for row, view in zip(some, await self.load([row.job_id for row in some]), strict=True):
                if view is not None:
                    yield row, view

    async def load(self, ids: Sequence[str]) -> list[JobView | None]:
        """The jobs by their ids; None for those that are gone."""
        if not ids:
            return []
        pipeline = self._connection.pipeline()
        for job_id in ids:
            self._ask(pipeline, job_id)
        answers = await self._connection.flush(pipeline)
        return [job_view(job_id, *answers[i * 4 : i * 4 + 4]) for i, job_id in enumerate(ids)]

    async def whole(self, job_id: str) -> JobView | None:
        """One job, with what it wrote."""
        pipeline = self._connection.pipeline()
        self._ask(pipeline, job_id)
        raw, load, timeline, steps = await self._connection.flush(pipeline)
        view = job_view(job_id, raw, load, timeline, steps)
        return view and msgspec.structs.replace(view, written=written_view(steps))

    async def at_stake(self, more: int, *, keep: int) -> list[str]:
        """Of the newest `keep` in FAILED_FINAL, those that `more` of them would push out and that nobody cancelled."""
        dead, ids = self._keys.dead, list[str]()
        failed = int(await self._connection.execute("ZCARD", dead))
        oldest = min(failed, failed + more - keep)
        for first in range(0, oldest, SIFTED):
            rows = await self._connection.execute("ZRANGE", dead, first, min(first + SIFTED, oldest) - 1)
            likely = await self._likely([Mark(row.decode()) for row in rows], ["reason", "not", Reason.CANCELLED])
            ids += [mark.job_id for mark in likely]
        return ids

    async def gone(self, ids: Sequence[str]) -> int:
        """How many of these jobs are kept no longer."""
        kept = 0
        for first in range(0, len(ids), SIFTED):
            kept += int(await self._connection.execute("EXISTS", *map(self._keys.job, ids[first : first + SIFTED])))
        return len(ids) - kept

    def _ask(self, pipeline: Pipeline, job_id: str) -> None:
        """For the job's four keys."""
        pipeline.hgetall(self._keys.job(job_id))
        pipeline.get(self._keys.load(job_id))
        pipeline.get(self._keys.timeline(job_id))
        pipeline.hgetall(self._keys.steps(job_id))

    def _lanes(self) -> list[_Source]:
        return [
            _Source(key, "lane", JobState.QUEUED)
            for key in (self._keys.wait_live, self._keys.wait_bulk, self._keys.suspects)
        ]

    async def _likely(self, rows: list[Mark], wanted: Sequence[str]) -> list[Mark]:
        """Those whose hash says that they fit: asked in Redis, at a fiftieth of the cost of reading them."""
        if not wanted or not rows:
            return rows
        places = await self._fitting([self._keys.job(row.job_id) for row in rows], wanted)
        return [rows[place - 1] for place in places]

    async def _telling(self, rows: list[Mark], text: str | None) -> list[Mark]:
        """Those whose id or lead has the text: to look at their leads alone costs a tenth of reading the jobs whole. Of
        one whose lead is gone the job may tell."""
        if not text or not rows:
            return rows
        payloads = await self._connection.execute("MGET", *(self._keys.load(row.job_id) for row in rows))
        wanted = TextFilter(text)
        return [
            row
            for row, payload in zip(rows, payloads, strict=True)
            if payload is None or wanted.is_one_of(row.job_id) or wanted.is_in(as_text(payload))
        ]

    def _sources(self, query: JobQuery) -> list[_Source]:
        """In the direction that jobs move, so that one which moves meanwhile is still met."""
        k = self._keys
        lanes = self._lanes()
        failed, succeeded = _Source(k.dead, "ended"), _Source(k.done, "ended")
        by_state: dict[JobState | None, list[_Source]] = {
            None: [*lanes, _Source(k.lease, "leases"), _Source(k.sched, "due"), failed, succeeded],
            JobState.QUEUED: [*lanes, _Source(k.sched, "due", JobState.QUEUED)],
            JobState.PROCESSING: [_Source(k.lease, "leases")],
            JobState.RETRY_SCHEDULED: [_Source(k.sched, "due", JobState.RETRY_SCHEDULED)],
            JobState.FAILED_FINAL: [failed],
            JobState.SUCCEEDED: [succeeded],
        }
        if query.state is None and (query.reason or query.failure):
            return [failed]
        if query.state is None and (query.outcome or query.ended_since):
            return [succeeded, failed]
        return by_state[query.state]

    async def _after(self, source: _Source, mark: Mark, least: str, chunk: int) -> list[Mark]:
        """Up to `chunk` jobs behind the mark; none at the source's end."""
        match source.kind:
            case "lane":
                return await self._after_in_lane(source.key, mark, chunk)
            case "leases":  # few, and their scores move with every beat
                rows = await self._connection.execute("ZRANGE", source.key, 0, LEASES_MAX - 1)
                ids = sorted((row.decode() for row in rows), reverse=True)
                return [Mark(job_id) for job_id in ids if not mark.job_id or job_id < mark.job_id][:chunk]
            case "due":  # from the next one on: who is put off meanwhile moves ahead of the reader
                return await self._after_by_score(source.key, mark, "+inf", (), chunk)
            case "ended":
                return await self._after_by_score(source.key, mark, least, ("REV",), chunk)

    async def _after_in_lane(self, key: str, mark: Mark, chunk: int) -> list[Mark]:
        """From the end where jobs come in. A mark that is gone was taken, and with it all that had waited longer."""
        last = -1
        if mark.job_id:
            at = await self._connection.execute("LPOS", key, mark.job_id, "RANK", -1)
            last = (await self._older_than(key, mark.job_id) if at is None else int(at)) - 1
            if last < 0:
                return []
        first = last - chunk + 1 if last < 0 else max(0, last - chunk + 1)
        ids = await self._connection.execute("LRANGE", key, first, last)
        return [Mark(job_id.decode()) for job_id in reversed(ids)]

    async def _older_than(self, key: str, job_id: str) -> int:
        """How many at the head of a lane are not younger, to the millisecond: but for what came back to it, a lane is
        in the order of the ids, and they begin with the time."""
        low, high = 0, int(await self._connection.execute("LLEN", key))
        while low < high:
            middle = (low + high) // 2
            found = await self._connection.execute("LINDEX", key, middle)
            if found is not None and found.decode()[:ID_TIME] <= job_id[:ID_TIME]:
                low = middle + 1
            else:
                high = middle
        return low

    async def _after_by_score(self, key: str, mark: Mark, end: str, order: tuple[str, ...], chunk: int) -> list[Mark]:
        start = str(mark.score) if mark.job_id else ("+inf" if order else "-inf")
        offset = 0
        while True:
            answer = await self._connection.execute(
                "ZRANGE", key, start, end, "BYSCORE", *order, "LIMIT", offset, chunk, "WITHSCORES"
            )
            rows = scored(answer)
            # Of equal scores those up to the mark were met: Redis has them in the order of their ids.
            fresh = [row for row in rows if not mark.job_id or _is_behind(row, mark, backwards=bool(order))]
            if fresh or len(rows) < chunk:
                return fresh
            offset += chunk


def scored(answer: Sequence[Any]) -> list[Mark]:
    """Pairs, or one flat list of ids and scores: which it is depends on the protocol that was agreed on."""
    is_paired = bool(answer) and isinstance(answer[0], list | tuple)
    pairs = answer if is_paired else list(zip(answer[::2], answer[1::2], strict=True))
    return [Mark(job_id.decode(), int(float(score))) for job_id, score in pairs]


def _is_behind(row: Mark, mark: Mark, *, backwards: bool) -> bool:
    if row.score != mark.score:
        return True
    return row.job_id < mark.job_id if backwards else row.job_id > mark.job_id


def _earliest_end(query: JobQuery) -> str:
    """Of a job that may fit, as a score: nobody is created after its end."""
    times = [moment.timestamp() for moment in (query.since, query.ended_since) if moment]
    return str(round(max(times) * 1000)) if times else "-inf"


def _of_hash(query: JobQuery) -> list[str]:
    """What a filter says of a job's hash: a name, whether it `is` or is `not`, and a value, in turn; "" is none."""
    told = {
        "lane": query.lane, "contact": query.contact, "location": query.location, "outcome": query.outcome,
        "reason": query.reason,
    }  # fmt: skip
    asked = [part for name, value in told.items() if value for part in (name, "is", value)]
    if query.failure:
        asked += ["reason", "not", "", "reason", "not", Reason.CANCELLED]
    if query.failure is Failures.UNEXPECTED:
        asked += ["outcome", "is", ""]
    return asked


def _fits(view: JobView, query: JobQuery) -> bool:
    wanted = (
        (query.state, view.state),
        (query.lane, view.lane),
        (query.contact, view.contact_id),
        (query.location, view.location_id),
        (query.outcome, view.outcome),
        (query.reason, view.reason),
    )
    if any(told and told != found for told, found in wanted):
        return False
    if query.failure and view.reason in (None, Reason.CANCELLED):
        return False
    if query.failure is Failures.UNEXPECTED and view.outcome:
        return False
    return _is_of_the_time(view, query) and _tells(view, query.q)


def _is_of_the_time(view: JobView, query: JobQuery) -> bool:
    created = datetime.fromisoformat(view.created_at) if query.since or query.until else None
    if created and ((query.since and created < query.since) or (query.until and created >= query.until)):
        return False
    if query.ended_since:
        return view.finished_at is not None and datetime.fromisoformat(view.finished_at) >= query.ended_since
    return True


def _tells(view: JobView, text: str | None) -> bool:
    if not text:
        return True
    wanted = TextFilter(text)
    if wanted.is_one_of(view.id, view.contact_id):
        return True
    return view.lead is not None and wanted.is_in(msgspec.json.encode(view.lead).decode())


def _cursor(at: int, mark: Mark) -> str:
    return f"{at}.{mark.score or ''}.{mark.job_id}"


def _read_cursor(text: str | None, sources: int) -> tuple[int, Mark]:
    if text is None:
        return 0, Mark()
    if not re.fullmatch(CURSOR, text):
        raise BadCursor(text)
    at, score, job_id = text.split(".")
    return min(int(at), sources), Mark(job_id, int(score or 0))
