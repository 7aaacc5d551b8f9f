"""Claims jobs while a slot is free, runs them side by side, sleeps without polling, drains on the way down."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Literal

import structlog

from leadenrich.core.job import Claim
from leadenrich.core.retry import Complete, Ending, Release
from leadenrich.store.errors import StoreUnavailable
from leadenrich.store.queue import Grant, Queue
from leadenrich.worker.ahead import Ahead
from leadenrich.worker.runner import Runner

log = structlog.get_logger("leadenrich.worker")

BLOCK_S = 20.0
EMBEDDED_BLOCK_S = 0.1  # the embedded Redis lets a cancelled wait eat the next marker, so it waits in short pieces
AWAY_S = 1.0
HELD_S = 0.5  # how long a job that was claimed ahead waits for a slot before it goes back
LOOK_AGAIN_S = 60.0  # a marker can be lost with the host, or the connection, that it was given to
STUCK_S = 20.0  # a claim's timeouts end it long before
LISTENER_LOOK_S, LISTENER_END_S = 0.05, 2.0


@dataclass(slots=True, eq=False)
class _InHand:
    """A job of ours: it waits for a slot, runs, or its ending is being written."""

    claim: Claim
    since: float  # monotonic, as the others
    began: float = 0.0
    ran: float = 0.0


class Pool:
    """`problem` hears what keeps the pool from working, None when it works."""

    def __init__(
        self,
        queue: Queue,
        runner: Runner,
        *,
        concurrency: int,
        grace_s: float,
        embedded: bool = False,
        problem: Callable[[str | None], None] = lambda text: None,
    ) -> None:
        self._queue = queue
        self._runner = runner
        self._slots = asyncio.Semaphore(concurrency)
        self._concurrency = concurrency
        self._grace_s = grace_s
        self._block_s = EMBEDDED_BLOCK_S if embedded else BLOCK_S
        self._problem = problem
        self._ahead = Ahead(concurrency)
        self._in_hand: dict[asyncio.Task[None], _InHand] = {}
        self._wake = asyncio.Event()  # something may wait
        self._hungry = asyncio.Event()  # a slot is free and nothing is known to wait
        self._full = False  # a claim waits for room
        self._alone = False
        self._claiming_since: float | None = None

    @property
    def claims(self) -> list[Claim]:
        """The jobs in hand: those that run, that are about to, and whose ending is being written."""
        return [job.claim for job in self._in_hand.values()]

    @property
    def alive(self) -> bool:
        """Whether the claim loop makes progress: at rest, waiting for a slot, or in a claim that is not stuck."""
        return self._claiming_since is None or time.monotonic() - self._claiming_since < STUCK_S

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop`, then lets what is in flight finish within the grace and hands the rest back."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._wake_at(stop), name="pool-stop")
            listener = group.create_task(self._listen(stop), name="pool-listener")
            await self._claim_until(stop)
            await self._drain()
            await self._end_listening(listener)
        with contextlib.suppress(StoreUnavailable):
            await self._queue.poke()  # the last marker may have come to us: another daemon may be free

    async def _wake_at(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._wake.set()

    async def _claim_until(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            room = await self._room_for_more(stop)
            if stop.is_set():
                return
            self._wake.clear()
            began = self._claiming_since = time.monotonic()
            try:
                grant = await self._queue.claim(room, running=len(self._in_hand))
            except StoreUnavailable as error:
                self._problem(str(error))
                await self._sleep(AWAY_S)
                continue
            finally:
                self._claiming_since = None
            self._problem(None)
            self._note(grant, time.monotonic() - began)
            for claim in grant.claims:
                self._start(claim)
            if len(grant.claims) < room:
                await self._rest(grant)

    async def _room_for_more(self, stop: asyncio.Event) -> int:
        """Waits until there is room, and for a job that must run alone to end; hears `stop` all the same."""
        while not stop.is_set():
            room = self._room()
            if room > 0 and not (self._alone and self._in_hand):
                self._alone = False
                return room
            self._full = True
            await self._sleep(None)
            self._full = False
        return 0

    def _room(self) -> int:
        """How many more to claim; 0 until an eighth of what may be held is used up: few claims for many jobs."""
        ahead = self._ahead.jobs
        room = self._concurrency + ahead - len(self._in_hand)
        return room if room > ahead // 8 else 0

    def _note(self, grant: Grant, seconds: float) -> None:
        if grant.hold or any(claim.alone or claim.probe for claim in grant.claims):
            self._ahead.forget()  # a time in which nothing more than asked for should be in our hands
        elif grant.claims:
            self._ahead.claimed(seconds)

    def _start(self, claim: Claim) -> None:
        self._alone = self._alone or claim.alone
        job = _InHand(claim, time.monotonic())
        self._hold(job, self._work(job))

    def _hold(self, job: _InHand, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work, name=f"job-{job.claim.job_id}")
        self._in_hand[task] = job
        task.add_done_callback(self._ended)

    async def _work(self, job: _InHand) -> None:
        """Holds a slot while the job runs; it is free again while the ending is on its way."""
        await self._slots.acquire()
        job.began = time.monotonic()
        try:
            await self._runner.run(job.claim, on_ran=lambda ending: self._ran(job, ending))
        finally:
            if not job.ran:
                self._ran(job, None)
        self._ahead.ended(time.monotonic() - job.ran)

    def _ran(self, job: _InHand, ending: Ending | None) -> None:
        job.ran = time.monotonic()
        self._slots.release()
        if isinstance(ending, Complete):
            self._ahead.ran(job.ran - job.began)
            return
        self._ahead.forget()
        if isinstance(ending, Release):
            self._turn_back("no_slot")  # its provider is paused: what stands behind it would only call it once more

    def _ended(self, task: asyncio.Task[None]) -> None:
        job = self._in_hand.pop(task, None)
        if (self._full and self._room()) or self._alone or not self._in_hand:
            self._wake.set()
        if job is not None and not task.cancelled() and task.exception() is not None:
            log.error("job_task_broke", job_id=job.claim.job_id, exc_info=task.exception())

    async def _rest(self, grant: Grant) -> None:
        """Nothing waits, or nothing may be taken: until a marker, a due time, a job that ends, or a look again."""
        if grant.hold != "drain":
            self._hungry.set()
        try:
            rest_s = LOOK_AGAIN_S if grant.next_s is None else min(grant.next_s, LOOK_AGAIN_S)
            while not await self._sleep(rest_s) and grant.next_s is None and await self._is_empty():
                pass
        finally:
            self._hungry.clear()

    async def _is_empty(self) -> bool:
        with contextlib.suppress(StoreUnavailable):
            return await self._queue.is_empty()
        return False  # the claim meets the same, and tells

    async def _sleep(self, timeout_s: float | None) -> bool:
        """Until something happens (True), or for so long. What finds no slot goes back, for others to take."""
        ends = math.inf if timeout_s is None else time.monotonic() + timeout_s
        woken = False
        while not woken and (left_s := ends - time.monotonic()) > 0:
            piece_s = min(left_s, HELD_S) if self._waiting() else left_s
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if piece_s == math.inf else piece_s):
                    woken = await self._wake.wait()
            self._turn_back("no_slot", held_s=HELD_S)
        self._wake.clear()
        return woken

    def _waiting(self) -> list[tuple[asyncio.Task[None], _InHand]]:
        """Those without a slot; the last one first."""
        return [(task, job) for task, job in reversed(self._in_hand.items()) if not job.began]

    def _turn_back(self, why: Literal["shutdown", "no_slot"], *, held_s: float = 0.0) -> None:
        """Hands back what has waited so long for a slot. The last one first: each goes to the front of its lane."""
        now = time.monotonic()
        late = [(task, job) for task, job in self._waiting() if now - job.since >= held_s]
        for task, job in late:
            task.cancel()
            del self._in_hand[task]
            self._hold(_InHand(job.claim, now, began=now), self._runner.hand_back(job.claim, why))
        if late and held_s:
            self._ahead.stuck()

    async def _listen(self, stop: asyncio.Event) -> None:
        """Holds the one blocking call. It is never cancelled: it may hold the marker, and then must pass it on."""
        while not stop.is_set():
            await self._hungry.wait()
            if stop.is_set():
                return
            try:
                got = await self._queue.wait(self._block_s)
                if got and not self._hungry.is_set():
                    await self._queue.poke()  # we are full: another daemon may be free
                    await asyncio.sleep(0)
            except StoreUnavailable as error:
                self._problem(str(error))
                await asyncio.sleep(AWAY_S)
                got = True  # what happened meanwhile is unknown: look
            if got:
                self._wake.set()

    async def _end_listening(self, listener: asyncio.Task[None]) -> None:
        self._hungry.set()  # a listener between two waits must hear the end too
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LISTENER_END_S):
                while not listener.done():
                    await self._queue.stop_waiting()
                    await asyncio.wait([listener], timeout=LISTENER_LOOK_S)
        listener.cancel()  # if Redis does not answer: what it holds for us is only a marker

    async def _drain(self) -> None:
        self._turn_back("shutdown")
        tasks = list(self._in_hand)
        if not tasks:
            return
        log.info("draining", jobs=len(tasks), grace_s=self._grace_s)
        _, late = await asyncio.wait(tasks, timeout=self._grace_s)
        claims = [self._in_hand[task].claim for task in late]
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        await asyncio.gather(*(self._runner.hand_back(claim) for claim in claims))
