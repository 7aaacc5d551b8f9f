"""What a queue's verbs leave in Redis, read field by field."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from queue_desk import Desk

from leadenrich.core.job import Claim
from leadenrich.store.events import StoredEvent, events_of


async def job_hash(desk: Desk, job_id: str) -> dict[str, str]:
    flat = await desk.connection.execute("HGETALL", desk.keys.job(job_id))
    pairs = flat.items() if isinstance(flat, dict) else zip(flat[::2], flat[1::2], strict=True)
    return {name.decode(): value.decode() for name, value in pairs}


async def events(desk: Desk) -> list[StoredEvent]:
    entries = await desk.connection.execute("XRANGE", desk.keys.events, "-", "+")
    return [event for entry_id, fields in entries for event in events_of(entry_id, fields)]


async def counts(desk: Desk) -> dict[str, int]:
    """Without what has come back to nothing."""
    flat = await desk.connection.execute("HGETALL", desk.keys.counts)
    pairs = flat.items() if isinstance(flat, dict) else zip(flat[::2], flat[1::2], strict=True)
    return {name.decode(): int(value) for name, value in pairs if int(value)}


async def marker(desk: Desk) -> list[tuple[str, float]]:
    flat = await desk.connection.execute("ZRANGE", desk.keys.wake, 0, -1, "WITHSCORES")
    pairs = flat if flat and isinstance(flat[0], list | tuple) else list(zip(flat[::2], flat[1::2], strict=True))
    return [(name.decode(), float(score)) for name, score in pairs]


async def is_woken(desk: Desk, verb: Awaitable[Any]) -> bool:
    """Whether the verb leaves the marker that a sleeping worker waits on."""
    await desk.connection.execute("DEL", desk.keys.wake)
    await verb
    return await marker(desk) == [("m", 0.0)]


async def leave(desk: Desk, claim: Claim, way: str) -> None:
    if way == "reclaim":
        [lease] = await desk.queue.leases()
        assert await desk.queue.reclaim(claim.job_id, lease.beat) == "reclaimed"
    else:
        verbs: dict[str, Callable[[Claim], Awaitable[Any]]] = {
            "complete": desk.complete, "retry": desk.retry, "bury": desk.bury, "release": desk.release,
        }  # fmt: skip
        await verbs[way](claim)


async def leave_by_death(desk: Desk) -> None:
    await desk.one()
    [lease] = await desk.queue.leases()
    assert await desk.queue.reclaim(lease.job_id, lease.beat) in ("reclaimed", "condemned")
