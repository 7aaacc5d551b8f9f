"""The kill test's job behind other queues for Python: run by a peer's own environment, so it needs nothing of ours.

peer_worker.py PEER enqueue|work REDIS_URL BOOK JOBS
"""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import timedelta
from typing import Any

AT_ONCE = 5
LEASE_S = 5


async def job(book: int, number: int) -> None:
    """Buys, then writes: each is there before its 50 ms are over, as in our own test."""
    note(book, "paid", number)
    await asyncio.sleep(0.05)
    note(book, "written", number)
    await asyncio.sleep(0.05)
    note(book, "ended", number)


def note(book: int, what: str, number: int) -> None:
    os.write(book, f"{what} {number} {os.getpid()}\n".encode())


async def arq(role: str, url: str, book: int, jobs: int) -> None:
    from arq import Worker, create_pool, func
    from arq.connections import RedisSettings

    settings = RedisSettings.from_dsn(url)
    if role == "enqueue":
        pool = await create_pool(settings)
        for number in range(jobs):
            await pool.enqueue_job("job", number)
        await pool.aclose()
        return

    async def run(ctx: Any, number: int) -> None:
        await job(book, number)

    functions = [func(run, name="job", timeout=LEASE_S, max_tries=5)]
    await Worker(functions, redis_settings=settings, max_jobs=AT_ONCE, handle_signals=False).async_run()


async def saq(role: str, url: str, book: int, jobs: int) -> None:
    from saq import Queue, Worker

    queue = Queue.from_url(url)
    if role == "enqueue":
        await queue.connect()
        for number in range(jobs):
            await queue.enqueue("job", number=number, timeout=LEASE_S)
        await queue.disconnect()
        return

    async def run(ctx: Any, *, number: int) -> None:
        await job(book, number)

    await Worker(queue, functions=[("job", run)], concurrency=AT_ONCE).start()


async def streaq(role: str, url: str, book: int, jobs: int) -> None:
    from streaq import Worker

    worker = Worker(redis_url=url, concurrency=AT_ONCE, handle_signals=False, idle_timeout=timedelta(seconds=LEASE_S))

    @worker.task(name="job", max_tries=3)
    async def run(number: int) -> None:
        await job(book, number)

    if role == "enqueue":
        async with worker:
            for number in range(jobs):
                await run.enqueue(number)
    else:
        await worker.run_async()


def main() -> None:
    peer, role, url, path, jobs = sys.argv[1:]
    book = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    asyncio.run({"arq": arq, "saq": saq, "streaq": streaq}[peer](role, url, book, int(jobs)))


if __name__ == "__main__":
    main()
