"""The daemons on a queue, as their beats tell. A web half alone works on nothing, so it does not beat."""

from __future__ import annotations

import time

import msgspec

from leadenrich.core.times import iso
from leadenrich.store.connection import Connection
from leadenrich.store.job_view import Time
from leadenrich.store.schema import Keys


class Daemon(msgspec.Struct, frozen=True):
    """A worker half, by its name. `boot` tells one life of it from the next, "" where it announced none."""

    name: str
    host: str
    boot: str
    last_beat: Time
    silent_seconds: float


class Daemons:
    """Every method raises StoreUnavailable."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._key = keys.workers

    async def all(self) -> list[Daemon]:
        """Also those that are gone; who beat last comes first. A beat is told by the daemon's own clock."""
        fields = await self._connection.execute("HGETALL", self._key)
        told = {name.decode(): value.decode() for name, value in fields.items()}
        now_ms, found = time.time_ns() // 1_000_000, []
        for field, value in told.items():
            kind, _, name = field.partition(":")
            if kind == "beat":
                beat, _, host = value.partition("|")
                boot = told.get(f"boot:{name}", "").rpartition("/")[2]
                silent_s = round(max(0, now_ms - int(beat)) / 1000, 3)
                found.append(Daemon(name, host, boot, iso(int(beat)), silent_s))
        return sorted(found, key=lambda daemon: daemon.silent_seconds)

    async def leave(self, name: str) -> None:
        """This one has stopped. What it claimed last and its boot stay: a late copy of its calls is still known."""
        await self._connection.execute("HDEL", self._key, f"beat:{name}")
