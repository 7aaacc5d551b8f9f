"""The audit log: every action of a person on the queue, kept in Redis and told in the log."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
import structlog
from msgspec import Meta

from leadenrich.core.times import iso
from leadenrich.store.connection import Connection
from leadenrich.store.details import plain
from leadenrich.store.errors import StoreUnavailable
from leadenrich.store.job_list import BadCursor
from leadenrich.store.job_view import Time
from leadenrich.store.schema import Keys

AUDIT_ENTRIES: Final = 10_000
PAGE_MAX: Final = 200

Action: TypeAlias = Literal["retry", "cancel", "pause", "resume", "erase", "import", "backfill"]

ENTRY_ID: Final = r"[0-9]{1,16}-[0-9]{1,16}"

log = structlog.get_logger("leadenrich.audit")


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: by which right (`admin` by the API, `cli` at a shell) and under which name, as that person told it."""

    role: str
    name: str

    def __str__(self) -> str:
        """As it may stand in a job's timeline."""
        return plain(self.name)


class AuditEntry(msgspec.Struct, frozen=True):
    """One action."""

    id: str
    time: Time
    role: Annotated[str, Meta(description="By which right: admin by the API, cli at a shell.")]
    name: Annotated[
        str, Meta(description="Who, as told in X-Operator, else the address; at a shell the name of the login.")
    ]
    action: Action
    target: Annotated[
        str,
        Meta(
            description="What it was done to: job:ID, jobs (many, by the filter in detail), queue, provider:NAME, "
            "contact:HASH (one that was erased, by a hash of its id)."
        ),
    ]
    done: Annotated[int, Meta(description="How many it changed.")]
    skipped: Annotated[
        int, Meta(description="How many fitted and were not changed: gone, or in another state by then.")
    ]
    detail: Annotated[str, Meta(description="The reason told, or the filter as JSON.")]


class AuditPage(msgspec.Struct, frozen=True):
    """A part of the log, the newest first."""

    entries: list[AuditEntry]
    next_cursor: Annotated[str | None, Meta(description="What to give as cursor for the next part; null at the end.")]


class Audit:
    """The newest 10,000 actions on a queue, whichever daemon or shell they came through."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._key = keys.audit

    async def keep(
        self, actor: Actor, action: Action, target: str, *, done: int = 1, skipped: int = 0, detail: str = ""
    ) -> None:
        """Writes down what was done. It is done already: a Redis that is full or away by now is told in the log."""
        detail = detail[:1000]
        told = {"role": actor.role, "name": actor.name, "action": action, "target": target,
                "done": done, "skipped": skipped, "detail": detail}  # fmt: skip
        log.info("operator_action", **told)
        fields = [part for name, value in told.items() for part in (name, value)]
        try:
            await self._connection.execute("XADD", self._key, "MAXLEN", "~", AUDIT_ENTRIES, "*", *fields)
        except StoreUnavailable as error:
            log.error("audit_not_kept", error=str(error), **told)

    async def read(self, *, limit: int = 50, cursor: str | None = None) -> AuditPage:
        """The newest first, or those before the cursor. Raises: BadCursor, StoreUnavailable."""
        if cursor is not None and not re.fullmatch(ENTRY_ID, cursor):
            raise BadCursor(cursor)
        count = max(1, min(limit, PAGE_MAX))
        newest = f"({cursor}" if cursor else "+"
        rows = await self._connection.execute("XREVRANGE", self._key, newest, "-", "COUNT", count)
        entries = [_entry(row[0], row[1]) for row in rows]
        return AuditPage(entries, entries[-1].id if len(entries) == count else None)


def _entry(entry_id: bytes, fields: Mapping[bytes, bytes]) -> AuditEntry:
    told = {name.decode(): value.decode() for name, value in fields.items()}
    text = entry_id.decode()
    return msgspec.convert({"id": text, "time": iso(int(text.partition("-")[0])), **told}, AuditEntry, strict=False)
