"""Leads to the bulk lane, as many a call as Redis takes; while Redis cannot take them it waits, and says why."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

from leadenrich.core.job import Lane
from leadenrich.core.lead import Lead, fingerprint
from leadenrich.store.errors import StoreUnavailable
from leadenrich.store.job_id import new_job_id
from leadenrich.store.queue import ENQUEUE_BATCH, Queue, Receipt, Submission

BATCH: Final = ENQUEUE_BATCH
RETRY_S: Final = 1.0


class Feeder:
    """`origin` names what the leads come from: the same contact with the same address from the same origin is one job
    within `window_s`, however often it is fed, by whichever run.

    `on_wait` hears why nothing moves, and "" when it goes on.
    """

    def __init__(
        self, queue: Queue, *, origin: str, window_s: float, on_wait: Callable[[str], None], retry_s: float = RETRY_S
    ) -> None:
        self._queue = queue
        self._origin = origin
        self._window_s = window_s
        self._on_wait = on_wait
        self._retry_s = retry_s

    async def feed(self, leads: Sequence[Lead]) -> list[Receipt]:
        """What became of each, in their order; at most BATCH. Cancelled it may have reached Redis: feed it again."""
        now_ms = time.time_ns() // 1_000_000
        # The ids are given before Redis sees them: a call whose answer was lost is the same jobs when it is sent again.
        batch = [
            Submission(lead, Lane.BULK, self._key(lead), self._window_s, job_id=new_job_id(now_ms)) for lead in leads
        ]
        waited = False
        while True:
            try:
                receipts = await self._queue.submit_all(batch)
            except StoreUnavailable as error:
                self._on_wait(str(error))
                waited = True
                await asyncio.sleep(self._retry_s)
            else:
                if waited:
                    self._on_wait("")
                return receipts

    def _key(self, lead: Lead) -> str:
        # A line feed is in none of its parts but the last.
        return f"{self._origin}\n{lead.location_id}\n{lead.contact_id}\n{fingerprint(lead.address)}"
