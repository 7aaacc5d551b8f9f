"""What is paused and why, for every daemon on the queue and across restarts: the queue itself, a provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import msgspec

from leadenrich.core.job import Event
from leadenrich.store.connection import Connection
from leadenrich.store.schema import Keys
from leadenrich.store.scripts import Script

PauseKind: TypeAlias = Literal["throttle", "budget", "outage", "certificate", "auth", "credit", "operator"]

# A pause is not replaced by a weaker one: what a person said stays until a person resumes it.
_RANK: dict[PauseKind, int] = {
    "throttle": 1, "outage": 2, "budget": 3, "certificate": 4, "auth": 4, "credit": 4, "operator": 9,
}  # fmt: skip

TAB: Final = "\t"  # before the person's name; a daemon of before knows no names and shows it with the reason


@dataclass(frozen=True, slots=True)
class Pause:
    """Times are epoch milliseconds by Redis' clock; `until_ms` 0: a probe or a person ends it.

    `by` is the person who paused it, as that one was told; "" where a daemon did.
    """

    kind: PauseKind
    reason: str
    until_ms: int = 0
    probe_ms: int = 0
    since_ms: int = 0
    by: str = ""

    def holds(self, now_ms: int) -> bool:
        """Whether its time is not over: a claim that comes later goes by it."""
        return not 0 < self.until_ms <= now_ms


class Switches:
    """Every method that asks Redis raises StoreUnavailable."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys
        self._switch = Script(connection, "switch")
        self._kinds: frozenset[PauseKind] | None = None  # paused for at the last reading, and set by us since

    async def pause_provider(
        self, provider: str, kind: PauseKind, reason: str, *, until_ms: int = 0, probe_ms: int = 0, by: str = ""
    ) -> bool:
        """True when it is news: the provider was not paused, or for a weaker reason."""
        detail = {"provider": provider, "kind": kind, "reason": reason[:300], "until": until_ms or None}
        event = "" if kind == "throttle" else Event.PROVIDER_PAUSED.value
        return await self._set(f"provider:{provider}", Pause(kind, reason, until_ms, probe_ms, by=by), event, detail)

    async def resume_provider(self, provider: str, *, why: str) -> bool:
        """False when it was not paused. Its parked jobs go on at once."""
        detail = msgspec.json.encode({"provider": provider, "why": why}).decode()
        keys = [self._keys.meta, self._keys.events, self._keys.sched, self._keys.wake]
        args = [self._keys.prefix, f"provider:{provider}", "", 0, Event.PROVIDER_RESUMED.value, detail, provider]
        return bool(await self._switch(keys, args))

    async def pause_queue(self, reason: str, *, by: str = "") -> bool:
        return await self._set("paused", Pause("operator", reason, by=by), "", {})

    async def resume_queue(self) -> bool:
        keys = [self._keys.meta, self._keys.events, self._keys.sched, self._keys.wake]
        return bool(await self._switch(keys, [self._keys.prefix, "paused", "", 0, "", "", ""]))

    async def all(self) -> dict[str, Pause]:
        """What is paused now: provider name, or "" for the queue itself."""
        fields = await self._connection.execute("HGETALL", self._keys.meta)
        found = {}
        for name, value in fields.items():
            if name == b"paused":
                found[""] = _parse(value)
            elif name.startswith(b"provider:"):
                found[name.decode().removeprefix("provider:")] = _parse(value)
        self._kinds = frozenset(pause.kind for pause in found.values())
        return found

    def may_hold(self, *kinds: PauseKind) -> bool:
        """Whether something may be paused for one of these, by what was read last; asks nobody."""
        return self._kinds is None or not self._kinds.isdisjoint(kinds)

    async def _set(self, field: str, pause: Pause, event: str, detail: Mapping[str, object]) -> bool:
        if self._kinds is not None:
            self._kinds |= {pause.kind}
        rank = _RANK[pause.kind]
        reason, by = (" ".join(text.split())[:300] for text in (pause.reason, pause.by))
        value = f"{pause.kind}|{pause.until_ms}|{pause.probe_ms}||{rank}|{reason}{by and TAB + by}"
        keys = [self._keys.meta, self._keys.events, self._keys.sched, self._keys.wake]
        args = [self._keys.prefix, field, value, rank, event, msgspec.json.encode(detail).decode(), ""]
        return bool(await self._switch(keys, args))


def _parse(value: bytes) -> Pause:
    kind, until, probe, since, _, told = value.decode().split("|", 5)
    reason, _, by = told.partition(TAB)
    return Pause(kind, reason, int(until or 0), int(probe or 0), int(since or 0), by)  # type: ignore[arg-type]  # our own word
