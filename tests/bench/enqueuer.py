"""Puts leads in through `Queue.submit`, in a process that does nothing else; writes what it took to TOLD, as JSON.

    python -m bench.enqueuer CONFIG TOLD --leads 10000 [--in-flight 50] [--gap-ms 0] [--lane live] [--form webhook]

Each lead has a delivery key, so each is held against those that came before. With a gap one goes at a time, and the
times before and after each call are told. `--form house` hands in contacts that the fake vendors know.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, TypeAlias

from msgspec.structs import replace

from bench.webhooks import LOCATION, contact_id, signed_form
from leadenrich.cli.loop import run_loop
from leadenrich.config import load
from leadenrich.core.job import Lane
from leadenrich.core.lead import PostalAddress
from leadenrich.store.connection import open_redis
from leadenrich.store.queue import Queue, Submission
from leadenrich.web.payload import SignedEvent, decode, signed_lead

Form: TypeAlias = Literal["webhook", "house"]


def submissions(first: int, leads: int, lane: Lane, window_s: float, form: Form = "webhook") -> Iterator[Submission]:
    """One after the other, all different."""
    event = decode(signed_form(0), SignedEvent)
    lead = signed_lead(event, "create", contact_id(0), LOCATION, 0)
    for number in range(first, first + leads):
        told: dict[str, Any] = {"contact_id": contact_id(number)}
        if form == "house":
            address = PostalAddress(f"{100 + number} Maple St", "Springfield", "IL", "62704")
            told = {"contact_id": f"Contact{number:05d}", "address": address}
        yield Submission(replace(lead, **told), lane, f"wh:{number:08d}-bench", window_s)


async def enqueue(arguments: argparse.Namespace) -> dict[str, object]:
    config = load(arguments.config, {}).config
    async with open_redis(config.redis) as connection:
        queue = Queue(connection, config.queue, worker="enqueuer")
        await queue.open()
        rest = submissions(arguments.first, arguments.leads, Lane(arguments.lane), config.queue.delivery_window,
                           arguments.form)  # fmt: skip
        calls: list[tuple[str, int, int]] = []

        async def one_after_the_other() -> None:
            for submission in rest:
                before = time.time_ns()
                receipt = await queue.submit(submission)
                if receipt.verb != "queued":
                    raise RuntimeError(f"{submission.lead.contact_id}: {receipt}")
                if arguments.gap_ms:
                    calls.append((submission.lead.contact_id, before, time.time_ns()))
                    await asyncio.sleep(arguments.gap_ms / 1000)

        began, cpu_s = time.monotonic(), time.process_time()
        await asyncio.gather(*(one_after_the_other() for _ in range(arguments.in_flight)))
        took_s, used_s = time.monotonic() - began, time.process_time() - cpu_s
        return {"per_s": arguments.leads / took_s, "cpu_us": 1e6 * used_s / arguments.leads, "calls": calls}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("config", type=Path)
    parser.add_argument("told", type=Path)
    parser.add_argument("--leads", type=int, required=True)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--in-flight", type=int, default=50)
    parser.add_argument("--gap-ms", type=float, default=0)
    parser.add_argument("--lane", default="live")
    parser.add_argument("--form", default="webhook")
    arguments = parser.parse_args()
    arguments.told.write_text(json.dumps(run_loop(enqueue(arguments))))


if __name__ == "__main__":
    main()
