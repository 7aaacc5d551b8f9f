"""The queue's verbs in a test's words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from leads import lead

from leadenrich.core.job import Claim, Lane, Outcome, Reason
from leadenrich.core.retry import Bury, Complete, Failure, Release, RetryLater
from leadenrich.store.connection import Connection
from leadenrich.store.queue import Grant, Queue, Receipt, Submission
from leadenrich.store.views import JobView, Views


class Desk:
    """One worker's queue, and what is to be seen of it."""

    def __init__(self, connection: Connection, queue: Queue) -> None:
        self.connection = connection
        self.queue = queue
        self.keys = queue.keys
        self.views = Views(connection, queue.keys)

    async def submit(
        self,
        contact: str = "c1",
        street: str = "742 Evergreen Ter",
        *,
        lane: Lane = Lane.LIVE,
        key: str = "",
        window_s: float = 604_800.0,
        **more: Any,
    ) -> Receipt:
        return await self.queue.submit(Submission(lead(contact, street, **more), lane, key, window_s if key else 0.0))

    async def new(self, contact: str = "c1", street: str = "742 Evergreen Ter", **more: Any) -> str:
        """A lead that must be queued; its job's id."""
        receipt = await self.submit(contact, street, **more)
        assert (receipt.verb, receipt.why) == ("queued", "")
        assert receipt.job_id is not None
        return receipt.job_id

    async def grant(self, want: int = 1, *, running: int = 0) -> Grant:
        return await self.queue.claim(want, running=running)

    async def claim(self, want: int = 1, *, running: int = 0) -> list[Claim]:
        return list((await self.grant(want, running=running)).claims)

    async def one(self) -> Claim:
        [claim] = await self.claim()
        return claim

    async def complete(self, claim: Claim, outcome: Outcome = Outcome.QUALIFIED, *codes: str) -> None:
        await self.queue.complete(claim, Complete(outcome, codes))

    async def retry(self, claim: Claim, delay_s: float = 30.0) -> None:
        await self.queue.retry_later(claim, RetryLater(delay_s, Failure("502", "trace")))

    async def bury(self, claim: Claim, reason: Reason = Reason.INTERNAL_ERROR) -> None:
        await self.queue.bury(claim, Bury(reason, Failure("no", "trace")))

    async def release(
        self, claim: Claim, why: Any = "shutdown", until_ms: int | None = None, provider: str = ""
    ) -> bool:
        return await self.queue.release(claim, Release(why, until_ms, Failure("later")), provider=provider)

    async def job(self, job_id: str) -> JobView:
        view = await self.views.job(job_id)
        assert view is not None, f"{job_id} is gone"
        return view

    async def state(self, job_id: str) -> str:
        return (await self.job(job_id)).state

    async def make_due(self, job_id: str) -> None:
        """Time passes for one scheduled job."""
        assert await self.connection.execute("ZADD", self.keys.sched, "XX", "CH", 1, job_id) == 1

    async def time_ms(self) -> int:
        seconds, microseconds = await self.connection.execute("TIME")
        return int(seconds) * 1000 + int(microseconds) // 1000

    async def later_ms(self, than: int) -> None:
        """Until Redis' clock shows a later millisecond."""
        while await self.time_ms() <= than:
            pass

    async def dump(self) -> dict[bytes, Any]:
        """Everything the queue has stored, to see that nothing changed."""
        held: dict[bytes, Any] = {}
        for key in sorted(await self.connection.execute("KEYS", "*")):
            kind = await self.connection.execute("TYPE", key)
            read = {b"hash": ("HGETALL",), b"list": ("LRANGE", 0, -1), b"zset": ("ZRANGE", 0, -1, "WITHSCORES")}
            command, *rest = read.get(kind, ("XLEN",) if kind == b"stream" else ("GET",))
            held[key] = await self.connection.execute(command, key, *rest)
        return held


MakeDesk: TypeAlias = Callable[..., Desk]
