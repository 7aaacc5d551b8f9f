"""One job: time limit, handler, ending, settled in one place and told once."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, Final, Literal, Protocol

import structlog

from leadenrich.core.errors import LostLease, Transient, Trouble
from leadenrich.core.job import Claim, Event, Reason
from leadenrich.core.retry import Bury, Complete, Ending, Failure, Release, RetryLater, RetryPolicy, decide, describe
from leadenrich.store.errors import StoreUnavailable
from leadenrich.store.queue import Queue
from leadenrich.worker.outages import Outages
from leadenrich.worker.patience import Answer, patiently
from leadenrich.worker.steps import JobSteps
from leadenrich.worker.time_limit import TimeLimit

log = structlog.get_logger("leadenrich.worker")

HAND_BACK_S = 3.0
_HANDED_BACK: Final = {
    "shutdown": "handed back: the daemon ends",
    "no_slot": "handed back: no slot became free for it",
}
MARK_S = 30.0  # how long a failed job's mark on the contact may take


class Handler(Protocol):
    """What a job is for."""

    async def run(self, claim: Claim, steps: JobSteps) -> Complete:
        """Raises: Trouble of every kind, LostLease, StoreUnavailable."""
        ...

    async def leave_failed_mark(self, claim: Claim) -> None: ...


class Runner:
    """`limit_s` bounds one run; `patience_s` how long an ending waits for Redis to come back."""

    def __init__(
        self,
        queue: Queue,
        handler: Handler,
        outages: Outages,
        policy: RetryPolicy,
        *,
        limit_s: float,
        patience_s: float,
        report: Callable[..., None],
        rng: Random | None = None,
    ) -> None:
        self._queue = queue
        self.handler = handler  # a reload puts another one here
        self._outages = outages
        self._policy = policy
        self._limit = TimeLimit(limit_s)
        self._patience_s = patience_s
        self._report = report
        self._rng = rng or Random()  # noqa: S311 - jitter, not a secret

    async def run(self, claim: Claim, *, on_ran: Callable[[Ending], None] = lambda ending: None) -> None:
        """Raises only cancellation: every ending is a value; where the store stays away, the lease ends by itself.

        `on_ran` hears the ending when the work is done, before the ending is written.
        """
        started = time.monotonic()
        self._report(Event.STARTED, claim, waited_s=round(time.time() - claim.created_ms / 1000, 3), alone=claim.alone)
        steps = JobSteps(self._queue, claim, patience_s=self._patience_s)
        try:
            ending, provider = await self._attempt(claim, steps)
            on_ran(ending)
            more = {"seconds": round(time.monotonic() - started, 3)}
            await self._patiently(lambda: self._settle_once(claim, ending, more, provider))
        except LostLease as error:
            log.warning("lost_lease", job_id=claim.job_id, error=str(error))
        except StoreUnavailable as error:
            log.error("not_settled", job_id=claim.job_id, error=str(error), note="the job runs again after its lease")

    async def _attempt(self, claim: Claim, steps: JobSteps) -> tuple[Ending, str]:
        """The ending, and the provider that the job goes back to wait for, if it does."""
        try:
            with self._limit():
                ending = await self.handler.run(claim, steps)
        except TimeoutError:
            return await self._judged(Transient(f"the run took longer than {self._limit.seconds:.0f} s"), claim, steps)
        except (LostLease, StoreUnavailable) as error:
            if isinstance(error, LostLease):
                raise
            return Release("store_away", None, describe(error)), ""
        except Exception as error:  # noqa: BLE001 - the one place where every error becomes an ending
            return await self._judged(error, claim, steps)
        if self._outages.tells(claim):
            await self._patiently(lambda: self._outages.answered(claim, looked_up=steps.looked_up))
        return ending, ""

    async def _judged(self, error: Exception, claim: Claim, steps: JobSteps) -> tuple[Ending, str]:
        judged = await self._patiently(lambda: self._outages.judge(error, claim, looked_up=steps.looked_up))
        ending = decide(judged, claim.attempt, self._policy, self._rng)
        if isinstance(ending, Bury) and ending.reason in (Reason.ATTEMPTS_EXHAUSTED, Reason.INTERNAL_ERROR):
            await self.leave_failed_mark(claim)
        return ending, judged.provider if isinstance(judged, Trouble) else ""

    async def leave_failed_mark(self, claim: Claim) -> None:
        """Best effort: the contact shows that its enrichment failed."""
        try:
            async with asyncio.timeout(MARK_S):
                await self.handler.leave_failed_mark(claim)
        except Exception as error:  # noqa: BLE001 - the job ends as it ends, whether the mark could be left or not
            log.info("failed_mark_not_left", job_id=claim.job_id, error=describe(error).error)

    async def hand_back(self, claim: Claim, why: Literal["shutdown", "no_slot"] = "shutdown") -> None:
        """The job goes to the front of its lane, the try returned."""
        release = Release(why, None, Failure(_HANDED_BACK[why]))
        with contextlib.suppress(LostLease, StoreUnavailable):
            # Briefly: what cannot be handed back is taken over at the next start all the same.
            await patiently(lambda: self._settle_once(claim, release, {}), within_s=HAND_BACK_S)

    async def _settle_once(self, claim: Claim, ending: Ending, more: dict[str, Any], provider: str = "") -> None:
        match ending:
            case Complete():
                detail = {"outcome": ending.outcome.value, "codes": list(ending.codes), **more}
                await self._queue.complete(claim, ending, {**detail, **({"note": ending.note} if ending.note else {})})
                self._report(Event.COMPLETED, claim, **detail)
            case RetryLater():
                await self._queue.retry_later(claim, ending)
                self._report(Event.RETRYING, claim, delay_s=ending.delay_s, error=ending.failure.error, **more)
            case Release():
                await self._release(claim, ending, more, provider)
            case Bury():
                await self._queue.bury(claim, ending)
                self._report(
                    Event.FAILED,
                    claim,
                    reason=ending.reason.value,
                    outcome=ending.outcome.value if ending.outcome else None,
                    error=ending.failure.error,
                    stack=ending.failure.trace,
                    **more,
                )

    async def _release(self, claim: Claim, ending: Release, more: dict[str, Any], provider: str) -> None:
        if not await self._queue.release(claim, ending, provider=provider):
            bury = Bury(Reason.THROTTLED_TOO_LONG, ending.failure)
            await self._settle_once(claim, bury, more)
            return
        event = Event.THROTTLED if ending.why == "throttled" else Event.QUEUED
        self._report(event, claim, why=ending.why, error=ending.failure.error, until_ms=ending.until_ms, **more)

    async def _patiently(self, call: Callable[[], Awaitable[Answer]]) -> Answer:
        return await patiently(call, within_s=self._patience_s)
