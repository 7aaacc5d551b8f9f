"""Whether Redis takes leads, what it would lose, what is paused: read when somebody asks, else seldom, for the log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

import structlog

from leadenrich.store.connection import Connection
from leadenrich.store.durability import risks
from leadenrich.store.errors import StoreUnavailable
from leadenrich.store.switches import Switches
from leadenrich.telemetry.health import Half, Health

log = structlog.get_logger("leadenrich.daemon")

FRESH_S = 3.0  # what was seen answers whoever asks within this time
DURABILITY_LOOK_S = 60.0  # what an operator changes by hand


class StoreLook:
    """Reports what it sees to `health`. One look at a time; whoever asks meanwhile gets its answer."""

    def __init__(
        self,
        connection: Connection,
        switches: Switches,
        health: Health,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = connection
        self._switches = switches
        self._health = health
        self._monotonic = monotonic
        self._turn = asyncio.Lock()
        self._away = False
        self._looked_at = self._judged_at = float("-inf")
        self._by_hand: frozenset[str] = frozenset()

    async def look(self) -> None:
        """For the log alone: an outage, and what an operator paused."""
        async with self._turn:
            await self._look(asked=False)

    async def refresh(self) -> None:
        """For whoever asks how we are: looks, unless somebody did just now."""
        async with self._turn:
            if self._monotonic() - self._looked_at >= FRESH_S:
                await self._look(asked=True)

    def doubt(self) -> None:
        """A command was not answered: what was seen before it counts no more."""
        if not self._away:
            self._looked_at = float("-inf")

    async def _look(self, *, asked: bool) -> None:
        halves: tuple[Half, ...] = ("web", "worker")
        health = self._health
        try:
            paused = await self._switches.all()
            memory = await self._connection.memory()
            await self._judge(asked=asked)
        except StoreUnavailable as error:
            self._away = True
            for half in halves:
                health.report(half, "store", str(error))
            self._judged_at = float("-inf")  # another one may come back
            return
        else:
            self._away = False
        finally:
            self._looked_at = self._monotonic()
        health.report("worker", "store", None)
        short = f"Redis: {memory}, no new leads are taken" if memory.is_short else None
        health.report("web", "store", self._connection.refusal() or short)
        for part in list(health.report_now().notes):
            if part not in paused and (part == "queue" or part.startswith(("realestateapi", "ghl:"))):
                health.note(part, None)
        for part, pause in paused.items():
            health.note(part or "queue", f"paused ({pause.kind}): {pause.reason}")
        self._tell_what_a_person_did({part: pause.reason for part, pause in paused.items() if pause.kind == "operator"})

    def _tell_what_a_person_did(self, paused: Mapping[str, str]) -> None:
        """An operator's command runs in a process of its own: this log would not know why leads wait."""
        for part in paused.keys() - self._by_hand:
            log.warning("paused_by_operator", what=part or "queue", reason=paused[part])
        for part in self._by_hand - paused.keys():
            log.info("resumed_by_operator", what=part or "queue")
        self._by_hand = frozenset(paused)

    async def _judge(self, *, asked: bool) -> None:
        if self._monotonic() - self._judged_at < (DURABILITY_LOOK_S if asked else float("inf")):
            return
        found = risks(await self._connection.probe(), allow_volatile=True)
        self._health.note("redis", "; ".join(map(str, found)) or None)
        self._judged_at = self._monotonic()
