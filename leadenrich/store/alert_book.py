"""Which alerts are under way, for every daemon on the queue and across restarts, and which daemon looks after them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from leadenrich.store.connection import Connection
from leadenrich.store.schema import Keys
from leadenrich.store.scripts import Script

TURN_MS: Final = 120_000  # longer than a post takes with all its tries: see alerts/webhook.py
KEPT_S: Final = 86_400  # where nobody looks for so long, nobody waits for the end of it either


class AlertBook:
    """Values are opaque here. Every method raises StoreUnavailable. `daemon` is a name that no other process has."""

    def __init__(self, connection: Connection, keys: Keys, *, daemon: str) -> None:
        self._connection = connection
        self._keys = keys
        self._daemon = daemon
        self._turn = Script(connection, "turn")

    async def take_turn(self) -> bool:
        """True where this daemon is the one that looks: until it has not asked for `TURN_MS`."""
        return bool(await self._turn([self._keys.alerts_turn], [self._daemon, TURN_MS]))

    async def read(self) -> dict[str, bytes]:
        fields = await self._connection.execute("HGETALL", self._keys.alerts)
        if fields:
            await self._connection.execute("PEXPIRE", self._keys.alerts, KEPT_S * 1000)
        return {name.decode(): value for name, value in fields.items()}

    async def write(self, values: Mapping[str, bytes | None]) -> None:
        """Keeps what is given; None takes an alert out."""
        for name, value in values.items():
            if value is None:
                await self._connection.execute("HDEL", self._keys.alerts, name)
            else:
                await self._connection.execute("HSET", self._keys.alerts, name, value)
        if values:
            await self._connection.execute("PEXPIRE", self._keys.alerts, KEPT_S * 1000)
