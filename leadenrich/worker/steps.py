"""The checkpoints of one job: each write proves the lease, and none is given up while the lease may be ours."""

from __future__ import annotations

import contextlib
from typing import Any

from leadenrich.core.job import Claim, StepRecord
from leadenrich.store.errors import StoreUnavailable
from leadenrich.store.queue import Queue
from leadenrich.worker.patience import patiently


class JobSteps:
    """`patience_s` is how long a result waits for Redis to come back: about a lease, then the job is not ours."""

    def __init__(self, queue: Queue, claim: Claim, *, patience_s: float) -> None:
        self._queue = queue
        self._claim = claim
        self._patience_s = patience_s
        self._known = dict(claim.steps)
        self.looked_up = False  # whether the property provider itself answered this run: a cached record proves nothing

    def get(self, name: str) -> StepRecord | None:
        return self._known.get(name)

    async def intend(self, name: str) -> None:
        """Raises: LostLease; StoreUnavailable, at once: without Redis nothing new is begun."""
        self._know(await self._queue.checkpoint(self._claim, name, paid=_costs(name)))

    async def withdraw(self, name: str) -> None:
        """Best effort: an intent that stays is only counted as one that may have happened. Raises: LostLease."""
        with contextlib.suppress(StoreUnavailable):
            await self._queue.withdraw(self._claim, name)
        self._known.pop(name, None)

    async def record(self, name: str, result: bytes, *, cached: bool = False, credits: int = 0) -> None:
        """Raises: LostLease; StoreUnavailable, when Redis stayed away."""
        if _costs(name) and not cached:
            self.looked_up = True
        self._know(await self._patiently(name, result=result, cached=cached, credits=credits, paid=_costs(name)))

    def _know(self, record: StepRecord) -> None:
        self._known[record.name] = record

    async def _patiently(self, name: str, **members: Any) -> StepRecord:
        return await patiently(lambda: self._queue.checkpoint(self._claim, name, **members), within_s=self._patience_s)


def _costs(name: str) -> bool:
    """Only look-ups cost money: an intent of theirs without a result is an unknown purchase."""
    return name.startswith("lookup")
