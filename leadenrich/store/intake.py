"""Where a lead goes: to Redis, or onto our own disk while Redis cannot take it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import structlog

from leadenrich.store.batch import Batcher
from leadenrich.store.errors import StoreUnavailable
from leadenrich.store.job_id import new_job_id
from leadenrich.store.queue import ENQUEUE_BATCH, Queue, Receipt, Submission
from leadenrich.store.spool import Spool

TAKE_S: Final = (
    1.5  # how long Redis may take for leads before they go to the spool: answered within 2 s, fsync included
)
HAND_ON_S: Final = 5.0  # the same where nobody waits for the answer
PROBE_S: Final = 1.0  # between two tries to hand on the oldest lead

log: Final = structlog.get_logger("leadenrich.store")


class SpoolingIntake:
    """Takes leads in one row. While one waits in the spool, those that come go behind it: nobody overtakes.

    A lead has its job's id before Redis or the disk see it: whichever of both has it, and however often it is handed
    on, it is one job. `on_handed_on` hears what Redis made of each spooled lead.
    """

    def __init__(
        self,
        queue: Queue,
        spool: Spool,
        *,
        on_handed_on: Callable[[Submission, Receipt], None] = lambda submission, receipt: None,
        take_s: float = TAKE_S,
        probe_s: float = PROBE_S,
    ) -> None:
        self._queue = queue
        self._spool = spool
        self._on_handed_on = on_handed_on
        self._take_s = take_s
        self._probe_s = probe_s
        self._row: Batcher[Submission, Receipt | StoreUnavailable] = Batcher(self._take, most=ENQUEUE_BATCH)
        self._filled = asyncio.Event()
        self.refuses = ""  # why the spool took no lead when one came last

    @property
    def leads(self) -> int:
        """How many wait in the spool."""
        return self._spool.leads

    async def submit(self, submission: Submission) -> Receipt:
        """Raises: StoreUnavailable, when neither Redis nor the disk has it."""
        answer = await self._row(submission)
        if isinstance(answer, StoreUnavailable):
            raise answer
        return answer

    async def _take(self, batch: Sequence[Submission]) -> Sequence[Receipt | StoreUnavailable]:
        """One call at a time, see Batcher: what is answered here is in its order for all that come later."""
        now_ms = time.time_ns() // 1_000_000
        named = [item if item.job_id else replace(item, job_id=new_job_id(now_ms)) for item in batch]
        if not self._spool.leads:
            try:
                # Cut off, it may have reached Redis all the same: then the spooled one is the same job.
                async with asyncio.timeout(self._take_s):
                    receipts = await self._queue.submit_all(named)
                self.refuses = ""
                return receipts
            except (StoreUnavailable, TimeoutError) as error:
                if not self.refuses:  # else told already: nothing waits, and each batch comes by here
                    log.warning("spooling", error=str(error) or f"Redis did not answer within {self._take_s} s")
        return await self._keep(named)

    async def _keep(self, named: Sequence[Submission]) -> Sequence[Receipt | StoreUnavailable]:
        """Raises: StoreUnavailable."""
        try:
            answers = await self._spool.append(named)
            self._note_refusal(next((str(it) for it in answers if isinstance(it, StoreUnavailable)), ""))
        except StoreUnavailable as error:
            self._note_refusal(str(error))
            raise
        finally:
            self._filled.set()
        return answers

    def _note_refusal(self, why: str) -> None:
        if why and not self.refuses:
            log.error("spool_refuses", error=why, leads=self._spool.leads, bytes=self._spool.bytes)
        self.refuses = why

    async def drain(self) -> None:
        """Hands spooled leads on in their order, for ever. Cancelled at any await it loses none."""
        most, handed_on = ENQUEUE_BATCH, 0
        while True:
            if not self._spool.leads:
                if handed_on:
                    log.info("spool_drained", leads=handed_on)
                    handed_on, self.refuses = 0, ""
                self._filled.clear()
                await self._filled.wait()
                continue
            try:
                handed_on += await self._hand_on(most)
                most = ENQUEUE_BATCH
                continue
            except (StoreUnavailable, TimeoutError):
                pass  # told when it began
            except Exception as error:  # noqa: BLE001 - whatever is wrong with one lead must neither lose it nor end us
                log.error("spool_stuck", error=f"{type(error).__name__}: {error}", leads=self._spool.leads)
            most = 1  # what a Redis that hangs will find in its buffers when it goes on is one lead a probe
            await asyncio.sleep(self._probe_s)

    async def _hand_on(self, most: int) -> int:
        batch = await self._spool.head(most)
        async with asyncio.timeout(HAND_ON_S):
            receipts = await self._queue.submit_all(batch)
        await self._spool.forget(batch)
        for item, receipt in zip(batch, receipts, strict=True):
            self._on_handed_on(item, receipt)
        return len(batch)
