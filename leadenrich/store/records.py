"""The records that were bought, read again without buying."""

from __future__ import annotations

import zlib
from typing import Final

import msgspec

from leadenrich.core.address import NormalAddress
from leadenrich.core.property import LookupAnswer, decode_answer
from leadenrich.store.connection import Connection
from leadenrich.store.schema import property_keys

_PROVIDER: Final = "realestateapi"


class BoughtRecords:
    """What the cache of purchases holds."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def find(self, address: NormalAddress) -> LookupAnswer | None:
        """The answer that was bought for an address; None once its time in the cache is over, and where another
        version wrote it. Raises: StoreUnavailable."""
        record, _ = property_keys(_PROVIDER, address.key)
        packed = await self._connection.execute("GET", record)
        if packed is None:
            return None
        try:
            return decode_answer(zlib.decompress(packed))
        except (zlib.error, msgspec.DecodeError):
            return None
