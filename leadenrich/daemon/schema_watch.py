"""Ends the daemon as SIGTERM does, once a newer version has raised the schema of the queue's data."""

from __future__ import annotations

import asyncio

import structlog

from leadenrich.store.errors import StoreRefused
from leadenrich.store.queue import Queue

log = structlog.get_logger("leadenrich.daemon")


class SchemaWatch:
    """A worker half hears of it at its next claim, which gives it nothing; a web half alone at its next look."""

    def __init__(self, queue: Queue, stop: asyncio.Event) -> None:
        self._queue = queue
        self._stop = stop
        self.refusal: StoreRefused | None = None
        queue.on_newer = self.look

    async def look(self) -> None:
        """Raises: StoreUnavailable."""
        try:
            await self._queue.open()
        except StoreRefused as error:
            if self.refusal is None:
                log.error("schema_newer", note=f"{error}; this daemon ends what is in hand and leaves")
            self.refusal = error
            self._stop.set()
