"""Which boot of each worker is the latest: the ones before it are dead, and not only silent.

Two live daemons of one name are refused, so this needs no clock.
"""

from __future__ import annotations

from leadenrich.store.connection import Connection
from leadenrich.store.schema import Keys


class Boots:
    """A process is `<worker>/<boot>`, as in Queue.owner. Every method raises StoreUnavailable."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._key = keys.workers

    async def announce(self, process: str) -> None:
        """This is its worker's latest boot from now on."""
        await self._connection.execute("HSET", self._key, _field(process), process)

    async def is_over(self, process: str) -> bool:
        """Whether a later boot of its worker has begun."""
        latest = await self._connection.execute("HGET", self._key, _field(process))
        return latest is not None and latest.decode() != process


def _field(process: str) -> str:
    return "boot:" + process.rpartition("/")[0]
