"""Claims jobs while a slot is free, runs them side by side, sleeps without polling, drains on the way down."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

import structlog

from leadenrich.core.job import Claim
from leadenrich.store.errors import StoreUnavailable
from leadenrich.store.queue import Grant, Queue
from leadenrich.worker.runner import Runner

log = structlog.get_logger("leadenrich.worker")

BLOCK_S = 120.0  # a dead connection is noticed by the kernel's own probes, after 45 s
EMBEDDED_BLOCK_S = 0.1  # the embedded Redis lets a cancelled wait eat the next marker, so it waits in short pieces
AWAY_S = 1.0
LOOK_AGAIN_S = 60.0  # a marker can be lost with the host, or the connection, that it was given to
STUCK_S = 20.0  # a claim's timeouts end it long before
LISTENER_LOOK_S, LISTENER_END_S = 0.05, 2.0


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
        # By job and token: a job that lost its lease may come back while its first run has not noticed yet.
        self._running: dict[tuple[str, str], tuple[Claim, asyncio.Task[None]]] = {}
        self._wake = asyncio.Event()  # something may wait
        self._hungry = asyncio.Event()  # a slot is free and nothing is known to wait
        self._alone = False
        self._claiming_since: float | None = None

    @property
    def claims(self) -> list[Claim]:
        """The jobs in hand."""
        return [claim for claim, _ in self._running.values()]

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
            free = await self._free_slots(stop)
            if stop.is_set():
                return
            self._wake.clear()
            self._claiming_since = time.monotonic()
            try:
                grant = await self._queue.claim(free, running=len(self._running))
            except StoreUnavailable as error:
                self._problem(str(error))
                await self._sleep(AWAY_S)
                continue
            finally:
                self._claiming_since = None
            self._problem(None)
            for claim in grant.claims:
                await self._start(claim)
            if len(grant.claims) < free:
                await self._rest(grant)

    async def _free_slots(self, stop: asyncio.Event) -> int:
        """Waits for a slot, and for a job that must run alone to end; hears `stop` all the same."""
        while not stop.is_set():
            free = self._concurrency - len(self._running)
            if free > 0 and not (self._alone and self._running):
                self._alone = False
                return free
            await self._sleep(None)
        return 0

    async def _start(self, claim: Claim) -> None:
        await self._slots.acquire()
        self._alone = self._alone or claim.alone
        task = asyncio.create_task(self._runner.run(claim), name=f"job-{claim.job_id}")
        self._running[claim.job_id, claim.token] = (claim, task)
        task.add_done_callback(lambda done: self._ended(claim, done))

    def _ended(self, claim: Claim, task: asyncio.Task[None]) -> None:
        del self._running[claim.job_id, claim.token]
        self._slots.release()
        if self._full_before() or self._alone or not self._running:
            self._wake.set()
        if not task.cancelled() and task.exception() is not None:
            log.error("job_task_broke", job_id=claim.job_id, exc_info=task.exception())

    def _full_before(self) -> bool:
        return len(self._running) + 1 == self._concurrency

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
        """Until something happens (True), or for so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._wake.wait()
        woken = self._wake.is_set()
        self._wake.clear()
        return woken

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
        tasks = [task for _, task in self._running.values()]
        if not tasks:
            return
        log.info("draining", jobs=len(tasks), grace_s=self._grace_s)
        _, late = await asyncio.wait(tasks, timeout=self._grace_s)
        claims = [claim for claim, task in list(self._running.values()) if task in late]
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        await asyncio.gather(*(self._runner.hand_back(claim) for claim in claims))
