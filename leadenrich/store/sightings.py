"""Which contacts of a location had an address before, and the address a contact was last seen with."""

from __future__ import annotations

import time

from leadenrich.store.connection import Connection
from leadenrich.store.schema import SEEN_MS, Keys, address_mark, sighting_key

CONTACTS_KEPT = 20


class Sightings:
    """Every method raises StoreUnavailable. With `remember` off nothing is written: for a look that leaves no trace."""

    def __init__(self, connection: Connection, keys: Keys, *, remember: bool = True) -> None:
        self._connection = connection
        self._keys = keys
        self._remember = remember

    async def seen_elsewhere(self, location_id: str, address_key: str, contact_id: str, within_s: float) -> bool:
        """Remember this contact's address, and tell whether another contact had it first, within that time."""
        name, now_ms = sighting_key(location_id, address_key), time.time_ns() // 1_000_000
        pipeline = self._connection.pipeline()
        if self._remember:
            pipeline.zadd(name, {contact_id: now_ms}, nx=True)
            pipeline.zremrangebyrank(name, CONTACTS_KEPT, -1)
            pipeline.pexpire(name, max(1, round(within_s * 1000)))
        pipeline.zrange(name, 0, CONTACTS_KEPT - 1, withscores=True)
        *_, contacts = await self._connection.flush(pipeline)
        oldest_ms = now_ms - within_s * 1000
        # Only the later contact is the duplicate: the first one was there before it.
        for contact, seen_ms in contacts:
            if contact.decode() == contact_id:
                return False
            if seen_ms >= oldest_ms:
                return True
        return False

    async def note_address(self, location_id: str, contact_id: str, fingerprint: str) -> None:
        """The address a contact was read with, where no event told one: what a later update is compared with."""
        if fingerprint and self._remember:
            name = self._keys.seen(location_id, contact_id)
            pipeline = self._connection.pipeline()
            pipeline.hsetnx(name, "fp", address_mark(fingerprint))
            pipeline.pexpire(name, SEEN_MS)
            await self._connection.flush(pipeline)
