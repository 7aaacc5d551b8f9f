"""Of which schema the queue's data is: once a newer version has raised it, an older one works on it no more.

How a version raises it, and what it may do then: docs/adr/0026-raise-then-migrate.md.
"""

from __future__ import annotations

from leadenrich.store.connection import Connection
from leadenrich.store.errors import StoreRefused
from leadenrich.store.schema import SCHEMA_VERSION, Keys


async def agree(connection: Connection, keys: Keys) -> None:
    """Writes ours where none stands. Raises: StoreRefused (it is a newer one), StoreUnavailable."""
    found = await connection.execute("HGET", keys.meta, "schema")
    if found is None:
        await connection.execute("HSETNX", keys.meta, "schema", SCHEMA_VERSION)
        found = await connection.execute("HGET", keys.meta, "schema")
    if int(found or SCHEMA_VERSION) > SCHEMA_VERSION:
        raise StoreRefused(
            f"the queue's data is of schema {int(found)}, this version knows {SCHEMA_VERSION}: run the newer leadenrich"
        )
