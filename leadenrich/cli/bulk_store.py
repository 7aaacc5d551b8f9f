"""The queue as import and backfill use it: they bring leads, so a Redis that would lose them is refused."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import msgspec
from rich.console import Console

from leadenrich.bulk.tally import EXAMPLES, Tally
from leadenrich.cli.bulk_screen import BulkScreen
from leadenrich.cli.configuration import refuse
from leadenrich.cli.loop import run_loop
from leadenrich.cli.status import DONE, FAILED
from leadenrich.cli.store_access import no_redis, whoever
from leadenrich.config import Config, Fault, LogSettings, secret_values
from leadenrich.store.audit import Action, Audit
from leadenrich.store.connection import Connection, open_redis
from leadenrich.store.errors import StoreRefused, StoreUnavailable
from leadenrich.store.memory import BULK_HIGH_WATER, Room
from leadenrich.store.queue import Queue
from leadenrich.telemetry.logs import configure

GO_ON = "Run the same command again to go on: what is queued is not queued twice."
# Of a dry run, which does not ask the queue.
UNCHECKED = "Not checked for duplicates: those that have their job already are counted as such by the real run."


@dataclass(frozen=True, slots=True)
class BulkStore:
    """The queue, with room for live leads kept free, and the log of who brought what."""

    connection: Connection
    queue: Queue
    audit: Audit

    async def keep(self, action: Action, target: str, tally: Tally, *, whole: bool) -> None:
        """Writes down who did it, and how far it came."""
        skipped = tally.duplicates + tally.rejected + tally.left_out.total()
        detail = "" if whole else "stopped before its end"
        await self.audit.keep(whoever(), action, target, done=tally.queued, skipped=skipped, detail=detail)


def with_queue(config: Config, act: Callable[[BulkStore], Awaitable[int]]) -> int:
    """Runs one action on the configured queue. 69 when Redis cannot be reached, or would lose leads."""
    if config.redis.url.startswith("fakeredis://"):
        print(
            "leadenrich: the embedded Redis lives inside the daemon: use its API, POST /api/v1/leads", file=sys.stderr
        )
        return FAILED
    try:
        return run_loop(_with_queue(config, act))
    except (StoreUnavailable, StoreRefused) as error:
        return no_redis(error, config)


async def _with_queue(config: Config, act: Callable[[BulkStore], Awaitable[int]]) -> int:
    configure(LogSettings(level="error"), secrets=secret_values(config))
    async with open_redis(config.redis) as connection:
        # Looked at before each call: ten thousand leads a second would fill what is left of a small Redis.
        connection.room = Room(connection.memory, mark=BULK_HIGH_WATER, every_s=0)
        queue = Queue(connection, config.queue, worker=f"{socket.gethostname()}:cli:{os.getpid()}")
        await queue.open()
        return await act(BulkStore(connection, queue, Audit(connection, queue.keys)))


def location_of(config: Config, told: str | None) -> str:
    """The location told, else the only one, else "". Exits with 78 for one that is not configured, or where none is."""
    known = [location.id for location in config.ghl.locations]
    if not known:
        refuse([Fault("ghl.locations", "no location is configured: add [[ghl.locations]] with its id and token")])
    if told and told not in known:
        refuse([Fault("ghl.locations", f"no location {told!r} is configured: add [[ghl.locations]] with its id")])
    return told or (known[0] if len(known) == 1 else "")


def progress_console(*, as_json: bool) -> Console:
    """Where progress is shown: beside the answer where that is JSON."""
    return Console(stderr=as_json, soft_wrap=True)


def summed_up(tally: Tally, what: str, seconds: float, *, as_json: bool, more: Mapping[str, object]) -> int:
    """Prints what became of all; 1 where some were rejected. `more` are members of the JSON summary."""
    if as_json:
        told = {
            "queued": tally.queued,
            "duplicates": tally.duplicates,
            "rejected": tally.rejected,
            "left_out": dict(tally.left_out),
            "seconds": round(seconds, 3),
            "examples": [{"where": where, "reason": reason} for where, reason in tally.examples],
        }
        print(msgspec.json.encode({**more, **told}).decode(), flush=True)
        return FAILED if tally.rejected else DONE
    rate = tally.seen / max(seconds, 0.001)
    print(f"{what}: {tally.queued:,} queued, {tally.duplicates:,} duplicate, {tally.rejected:,} rejected "
          f"in {seconds:.1f} s ({rate:,.0f} a second).")  # fmt: skip
    for reason, count in tally.left_out.most_common():
        print(f"  left out: {count:,} {reason}")
    if tally.duplicates:
        print(
            "  duplicate: there is a job already, waiting or ended; a failed one runs again by `leadenrich jobs retry`"
        )
    tell_examples(tally)
    return FAILED if tally.rejected else DONE


def tell_examples(tally: Tally) -> None:
    for where, reason in tally.examples:
        print(f"  {where}: {reason}")
    if tally.rejected > EXAMPLES:
        print(f"  and {tally.rejected - EXAMPLES:,} more")


async def to_its_end(work: Awaitable[None], screen: BulkScreen, on_stop: Callable[[], Awaitable[None]]) -> None:
    """Ctrl-C is told with what it leaves behind; then the process ends as interrupted."""
    try:
        await work
    except asyncio.CancelledError:
        print(f"Stopped: {screen.take_down()}. {GO_ON}", file=sys.stderr)
        await on_stop()
        raise
