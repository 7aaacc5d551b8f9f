"""The time of each operation on a queue as it is, in a process that does nothing else; JSON to TOLD.

python -m bench.operations CONFIG TOLD --first 1000000
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from bench.enqueuer import submissions
from bench.samples import Sample, percentile
from leadenrich.cli.loop import run_loop
from leadenrich.config import load
from leadenrich.core.job import Lane, Outcome
from leadenrich.core.retry import Complete
from leadenrich.store.connection import open_redis
from leadenrich.store.queue import Queue
from leadenrich.store.views import JobQuery, Views

CALLS = 100
CLAIMED = 5


async def p50_us(calls: int, operation: Callable[[], Awaitable[object]]) -> float:
    times = []
    for _ in range(calls):
        began = time.perf_counter()
        await operation()
        times.append(time.perf_counter() - began)
    return 1e6 * percentile(times, 0.5)


async def measure(config_path: Path, first: int) -> Sample:
    config = load(config_path, {}).config
    async with open_redis(config.redis) as connection:
        queue = Queue(connection, config.queue, worker="operations")
        views = Views(connection, queue.keys)
        await queue.open()
        leads = submissions(first, CALLS + 1, Lane.LIVE, config.queue.delivery_window)
        page = await views.jobs(JobQuery(limit=CALLS))
        waiting = iter([job.id for job in page.jobs])
        await queue.submit(next(leads))  # its script is loaded

        async def claim_and_complete() -> None:
            grant = await queue.claim(CLAIMED, running=0)
            await asyncio.gather(*(queue.complete(it, Complete(Outcome.QUALIFIED)) for it in grant.claims))

        return {
            "enqueue_us": await p50_us(CALLS, lambda: queue.submit(next(leads))),
            "list_us": await p50_us(CALLS // 4, lambda: views.jobs(JobQuery(limit=50))),
            "show_us": await p50_us(CALLS, lambda: views.job(page.jobs[0].id)),
            "stats_us": await p50_us(CALLS, views.stats),
            "cancel_us": await p50_us(CALLS // 2, lambda: queue.cancel(next(waiting), by="bench")),
            "claim_complete_us": await p50_us(CALLS, claim_and_complete),
        }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("config", type=Path)
    parser.add_argument("told", type=Path)
    parser.add_argument("--first", type=int, required=True)
    arguments = parser.parse_args()
    arguments.told.write_text(json.dumps(run_loop(measure(arguments.config, arguments.first))))


if __name__ == "__main__":
    main()
