"""What the web half acts on, on the embedded Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from queue_desk import Desk

from leadenrich.config import QueueSettings, RedisSettings
from leadenrich.store.audit import Audit
from leadenrich.store.connection import open_redis
from leadenrich.store.feed import Feed
from leadenrich.store.interventions import Controls, Interventions
from leadenrich.store.job_list import JobList
from leadenrich.store.queue import Queue
from leadenrich.store.switches import Switches
from leadenrich.web.ports import Operations

PROVIDERS = ("realestateapi", "ghl:loc1")


@asynccontextmanager
async def office_store(settings: QueueSettings | None = None) -> AsyncIterator[tuple[Desk, Operations, Feed]]:
    """A desk, the operations on its queue, and what happens there."""
    async with open_redis(RedisSettings(url="fakeredis://")) as connection:
        queue = Queue(connection, settings or QueueSettings(), worker="w1")
        await queue.open()
        audit = Audit(connection, queue.keys)
        operations = Operations(
            Interventions(queue, JobList(connection, queue.keys), audit),
            Controls(Switches(connection, queue.keys), audit, PROVIDERS),
            audit,
        )
        yield Desk(connection, queue), operations, Feed(connection, queue.keys)
