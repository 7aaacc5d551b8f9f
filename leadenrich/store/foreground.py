"""One lead taken up at once, by a process that a person waits for: a job like all others, held from its first moment.

It is leased: should the process die, a daemon finds the lease standing still and runs the job again.
"""

from __future__ import annotations

import time
from typing import Final

from leadenrich.config import QueueSettings
from leadenrich.core.job import Claim, Lane
from leadenrich.core.lead import Lead
from leadenrich.store.connection import Connection
from leadenrich.store.job_id import new_job_id
from leadenrich.store.payload import pack
from leadenrich.store.queue import Queue
from leadenrich.store.schema import SEEN_MS
from leadenrich.store.scripts import Script

PREFIX: Final = "enrich:"  # of the names of such processes
BEAT: Final = f"beat:{PREFIX}".encode()
GONE_MS: Final = 86_400_000


class UnderWay(Exception):
    """The contact has a job that waits or is worked on."""

    def __init__(self, job_id: str, state: str) -> None:
        super().__init__(f"job {job_id} of this contact is {state}")
        self.job_id = job_id
        self.state = state


class Foreground:
    """Of one process. Every method raises StoreUnavailable."""

    def __init__(self, connection: Connection, queue: Queue, settings: QueueSettings) -> None:
        self._connection = connection
        self._queue = queue
        self._attempts = settings.attempts
        self._begin = Script(connection, "begin")

    async def begin(self, lead: Lead, *, now_ms: int) -> Claim:
        """The lead's new job, in our hands for its first try. Raises: UnderWay."""
        await self._connection.room.check()
        keys, job_id = self._queue.keys, new_job_id(now_ms)
        word, *rest = await self._begin(
            [keys.seen(lead.location_id, lead.contact_id), keys.job(job_id), keys.load(job_id), keys.lease, keys.events,
             keys.counts],
            [keys.prefix, job_id, lead.location_id, lead.contact_id, pack(lead), self._queue.owner, self._attempts,
             SEEN_MS],
        )  # fmt: skip
        if word == b"busy":
            raise UnderWay(rest[0].decode(), rest[1].decode())
        token, created = rest
        return Claim(
            job_id=job_id, token=token.decode(), lane=Lane.LIVE, location_id=lead.location_id,
            contact_id=lead.contact_id, attempt=1, max_attempts=self._attempts, stalled_count=0, alone=False,
            probe=False, created_ms=int(created), lead=lead,
        )  # fmt: skip

    async def leave(self) -> None:
        """Forgets the beats of this process, and of those that were killed: such a name does not come back."""
        key, own, now_ms = self._queue.keys.workers, f"beat:{self._queue.worker}", time.time_ns() // 1_000_000
        fields = await self._connection.execute("HGETALL", key)
        beats = {
            name.decode(): int(value.partition(b"|")[0]) for name, value in fields.items() if name.startswith(BEAT)
        }
        gone = [name for name, beat_ms in beats.items() if name == own or now_ms - beat_ms > GONE_MS]
        if gone:
            await self._connection.execute("HDEL", key, *gone)
