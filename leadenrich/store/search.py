"""Finds leads by what a person remembers: a phone in any form, an e-mail, a name, an address, an id.

There is no index: leads that come in pay nothing for it. Kept jobs are read newest first in small parts, with a pause
for everybody else between two, for a bounded time; whoever wants to look further back goes on from there. The texts of
ended ones are remembered for some minutes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from leadenrich.store.connection import Connection
from leadenrich.store.job_list import JobList
from leadenrich.store.job_view import JobView
from leadenrich.store.lead_texts import LeadTexts
from leadenrich.store.schema import Keys
from leadenrich.store.text_filter import QUESTION_CHARS, Question

SECONDS: Final = 3.0
HITS_MAX: Final = 20
_PART: Final = 100  # leads read and unpacked at once: 1 to 2 ms of work
_IDS_PART: Final = 5_000
_LANE_MAX: Final = 200_000  # waiting jobs of a lane that are looked at, the newest
_AT_ONCE: Final = 2  # searches of all visitors together


@dataclass(frozen=True, slots=True)
class Findings:
    """The newest jobs that fit, of `looked_at` leads. `older` is where to go on; "" when all were looked at."""

    jobs: list[JobView]
    looked_at: int
    older: str


class Search:
    """Over the kept jobs of one queue. `locations` are the configured ones. Every method raises StoreUnavailable."""

    def __init__(
        self,
        connection: Connection,
        keys: Keys,
        *,
        locations: Callable[[], Collection[str]] = tuple,
        seconds: float = SECONDS,
    ) -> None:
        self._connection = connection
        self._keys = keys
        self._jobs = JobList(connection, keys)
        self._texts = LeadTexts(connection, keys)
        self._locations = locations
        self._seconds = seconds
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def exact(self, text: str) -> str | None:
        """The job of this id, or the last one of the contact of this id; None where it is neither."""
        if not text or len(text) > QUESTION_CHARS or any(char.isspace() for char in text):
            return None
        pipeline = self._connection.pipeline()
        pipeline.exists(self._keys.job(text))
        for location in self._locations():
            pipeline.hget(self._keys.seen(location, text), "job")
        is_job, *last = await self._connection.flush(pipeline)
        if is_job:
            return text
        ids = sorted((job_id.decode() for job_id in last if job_id), reverse=True)
        views = await self._jobs.load(ids)
        return next((view.id for view in views if view is not None), None)

    async def find(self, text: str, *, before: str = "") -> Findings:
        """The newest first, of those older than the job `before`."""
        question = Question(text)
        async with self._turn:
            until = time.monotonic() + self._seconds
            await self._texts.refresh()
            ids, moving = await self._ids(before.encode())
            hits: list[str] = []
            leads = passed = 0  # a cancelled job's id stays in its lane until a worker comes by
            for first in range(0, len(ids), _PART):
                part = ids[first : first + _PART]
                texts = await self._texts.of(part, moving=moving)
                places = [place for place, told in enumerate(texts) if question.fits(told)][: HITS_MAX - len(hits)]
                hits += [part[place].decode() for place in places]
                seen = places[-1] + 1 if len(hits) == HITS_MAX else len(part)
                leads, passed = leads + sum(map(bool, texts[:seen])), passed + seen
                if len(hits) == HITS_MAX or time.monotonic() >= until:
                    break
            views = await self._jobs.load(hits)
        older = ids[passed - 1].decode() if passed < len(ids) else ""
        return Findings([view for view in views if view is not None], leads, older)

    async def _ids(self, before: bytes) -> tuple[list[bytes], set[bytes]]:
        """Of all kept jobs, the newest first: ids begin with the time; and which of them have not ended.

        Read in the direction that jobs move.
        """
        keys = self._keys
        waiting = [await self._lane(key) for key in (keys.wait_live, keys.wait_bulk, keys.suspects)]
        at_work = [await self._set(key) for key in (keys.lease, keys.sched)]
        ended = [await self._set(key) for key in (keys.dead, keys.done)]
        moving = set().union(*waiting, *at_work)
        ids = sorted(moving.union(*ended), reverse=True)
        return ([job_id for job_id in ids if job_id < before] if before else ids), moving

    async def _lane(self, key: str) -> list[bytes]:
        """From the end where jobs come in."""
        found: list[bytes] = []
        while len(found) < _LANE_MAX:
            last = -1 - len(found)
            part = await self._connection.execute("LRANGE", key, last - _IDS_PART + 1, last)
            found += reversed(part)
            if len(part) < _IDS_PART:
                break
        return found

    async def _set(self, key: str) -> list[bytes]:
        found: list[bytes] = []
        while True:
            part = await self._connection.execute("ZRANGE", key, len(found), len(found) + _IDS_PART - 1)
            found += part
            if len(part) < _IDS_PART:
                return found
