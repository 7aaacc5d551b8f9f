"""What a person does to jobs and to the queue: each action is done, counted and kept in the audit log."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from leadenrich.core.job import JobState
from leadenrich.store.audit import Action, Actor, Audit
from leadenrich.store.errors import JobGone, StoreUnavailable, WrongState
from leadenrich.store.job_list import PAGE_MAX, Cursor, JobFilter, JobList, JobQuery
from leadenrich.store.queue import Queue
from leadenrich.store.switches import Switches

MANY_MAX: Final = 5_000
UNTOLD: Final = "paused by an operator"  # the reason of who told none
AT_ONCE: Final = 50  # jobs in Redis' hands at the same time: leads that come in meanwhile are not kept waiting


class Many(JobFilter, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which jobs, and whether only to count them. An empty filter means all of them."""

    dry_run: Annotated[bool, Meta(description="Count the jobs that fit and change none.")] = False
    limit: Annotated[int, Meta(ge=1, le=MANY_MAX, description="Most jobs that one call deals with.")] = 1_000
    cursor: Cursor = None


class RetryMany(Many, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which failed jobs to run again."""

    state: Literal["FAILED_FINAL"] = "FAILED_FINAL"


class CancelMany(Many, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which waiting jobs to end."""

    state: Annotated[
        Literal["QUEUED", "RETRY_SCHEDULED"] | None, Meta(description="Only those; without it, all that wait.")
    ] = None


class Tally(msgspec.Struct):
    """What came of it."""

    matched: Annotated[int, Meta(description="Jobs that fit.")] = 0
    done: Annotated[int, Meta(description="Jobs that were changed; 0 where they were only counted.")] = 0
    skipped: Annotated[int, Meta(description="Jobs that were gone, or in another state, when it was their turn.")] = 0
    dry_run: bool = False
    reasons: Annotated[
        dict[str, int],
        Meta(description="Of failed jobs that fit: how many for which reason.", examples=[{"attempts_exhausted": 12}]),
    ] = {}
    failures_removed: Annotated[
        int,
        Meta(
            description="Older failures, cancelled ones aside, that were removed to make room for what was cancelled "
            "(queue.keep_failed); where jobs were only counted: that would be."
        ),
    ] = 0
    next_cursor: Annotated[
        str | None, Meta(description="More may fit: what to give as cursor to go on; else null.")
    ] = None


class CutOff(Exception):
    """Redis went away in the middle; `tally` is what was done until then."""

    def __init__(self, tally: Tally) -> None:
        super().__init__(f"{tally.done} were done before Redis went away")
        self.tally = tally


class UnknownProvider(LookupError):
    """Nobody is called so; the message names those that are."""


class Interventions:
    """On jobs. Every method raises StoreUnavailable."""

    def __init__(self, queue: Queue, jobs: JobList, audit: Audit) -> None:
        self._queue = queue
        self._jobs = jobs
        self._audit = audit

    async def retry(self, job_id: str, actor: Actor) -> None:
        """A failed job again, from its last good step, with all its tries. Raises: JobGone, WrongState."""
        await self._queue.revive(job_id, by=str(actor))
        await self._audit.keep(actor, "retry", f"job:{job_id}")

    async def cancel(self, job_id: str, actor: Actor) -> None:
        """A waiting job ends in FAILED_FINAL, cancelled. Raises: JobGone, WrongState."""
        await self._queue.cancel(job_id, by=str(actor))
        await self._audit.keep(actor, "cancel", f"job:{job_id}")

    async def retry_many(self, wanted: RetryMany, actor: Actor) -> Tally:
        """Raises: BadCursor, CutOff."""
        query = _query(wanted, JobState.FAILED_FINAL)
        return await self._many(wanted, query, "retry", self._queue.revive, actor)

    async def cancel_many(self, wanted: CancelMany, actor: Actor) -> Tally:
        """Raises: BadCursor, CutOff."""
        query = _query(wanted, JobState(wanted.state) if wanted.state else None)
        return await self._many(wanted, query, "cancel", self._queue.cancel, actor)

    async def at_stake(self, count: int) -> int:
        """How many older failures, cancelled ones aside, would be kept no longer if `count` jobs were cancelled."""
        return len(await self._jobs.at_stake(count, keep=self._queue.keep_failed))

    @property
    def keep_failed(self) -> int:
        """How many that failed or were cancelled are kept."""
        return self._queue.keep_failed

    async def _many(
        self, wanted: Many, query: JobQuery, action: Action, act: Callable[..., Awaitable[None]], actor: Actor
    ) -> Tally:
        """First the ids, then the deeds: what is done must not move the place of who reads."""
        tally = Tally(dry_run=wanted.dry_run)
        found, tally.next_cursor = await self._found(query, wanted.limit, action)
        ids, tally.matched = list(found), len(found)
        tally.reasons = dict(Counter(filter(None, found.values())).most_common())
        at_stake = await self._jobs.at_stake(len(ids), keep=self._queue.keep_failed) if action == "cancel" else []
        if wanted.dry_run:
            tally.failures_removed = len(at_stake)
            return tally
        try:
            for first in range(0, len(ids), AT_ONCE):
                group = [self._one(act, job_id, actor) for job_id in ids[first : first + AT_ONCE]]
                fates = await asyncio.gather(*group, return_exceptions=True)
                tally.done += fates.count(True)
                tally.skipped += fates.count(False)
                for fate in fates:
                    if isinstance(fate, BaseException):
                        raise fate
            tally.failures_removed = await self._jobs.gone(at_stake)
        except StoreUnavailable as error:
            raise CutOff(tally) from error
        finally:
            told = msgspec.json.encode(wanted).decode()
            await self._audit.keep(actor, action, "jobs", done=tally.done, skipped=tally.skipped, detail=told)
        return tally

    async def _one(self, act: Callable[..., Awaitable[None]], job_id: str, actor: Actor) -> bool:
        try:
            await act(job_id, by=str(actor))
        except (JobGone, WrongState):
            return False
        return True

    async def _found(self, query: JobQuery, limit: int, action: Action) -> tuple[dict[str, str | None], str | None]:
        """Up to `limit` jobs that fit, each once, with why it failed if it did; and where to go on."""
        found: dict[str, str | None] = {}
        while True:
            part = msgspec.structs.replace(query, limit=min(limit - len(found), PAGE_MAX))
            page = await self._jobs.page(part, only_waiting=action == "cancel")
            found |= {job.id: job.reason for job in page.jobs if job.state in _STATES[action]}
            if page.next_cursor is None or len(found) >= limit:
                return found, page.next_cursor
            query = msgspec.structs.replace(query, cursor=page.next_cursor)


_STATES: Final[dict[Action, frozenset[str]]] = {
    "retry": frozenset({JobState.FAILED_FINAL.value}),
    "cancel": frozenset({JobState.QUEUED.value, JobState.RETRY_SCHEDULED.value}),
}


def _query(wanted: Many, state: JobState | None) -> JobQuery:
    same = {name: getattr(wanted, name) for name in JobFilter.__struct_fields__}
    return JobQuery(**same, state=state, cursor=wanted.cursor)


class Controls:
    """On the queue and the providers. `providers` are the names that the configuration has. Raises StoreUnavailable."""

    def __init__(self, switches: Switches, audit: Audit, providers: Collection[str]) -> None:
        self._switches = switches
        self._audit = audit
        self.providers = providers

    async def pause_queue(self, reason: str, actor: Actor) -> bool:
        """No job is taken until somebody resumes it. False when it was paused already; the new reason counts."""
        changed = await self._switches.pause_queue(reason, by=str(actor))
        await self._audit.keep(actor, "pause", "queue", done=int(changed), detail=reason)
        return changed

    async def resume_queue(self, actor: Actor) -> bool:
        """False when it was not paused."""
        changed = await self._switches.resume_queue()
        await self._audit.keep(actor, "resume", "queue", done=int(changed))
        return changed

    async def pause_provider(self, name: str, reason: str, actor: Actor) -> bool:
        """No call is made until somebody resumes it; leads wait. Raises: UnknownProvider."""
        await self._check(name)
        changed = await self._switches.pause_provider(name, "operator", reason, by=str(actor))
        await self._audit.keep(actor, "pause", f"provider:{name}", done=int(changed), detail=reason)
        return changed

    async def resume_provider(self, name: str, actor: Actor) -> bool:
        """False when it was not paused. Raises: UnknownProvider."""
        await self._check(name)
        changed = await self._switches.resume_provider(name, why="an operator resumed it")
        await self._audit.keep(actor, "resume", f"provider:{name}", done=int(changed))
        return changed

    async def _check(self, name: str) -> None:
        """One that is paused and no longer configured can still be resumed."""
        known = {*self.providers, *(paused for paused in await self._switches.all() if paused)}
        if name not in known:
            raise UnknownProvider(f"name one of {', '.join(sorted(known))}")
