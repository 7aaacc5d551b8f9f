"""How full Redis is. New leads stop at 80 % of its memory, so that what is in hand can always end."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from leadenrich.store.errors import StoreUnavailable

HIGH_WATER = 0.8
BULK_HIGH_WATER = 0.7  # an import stops here: what is left until HIGH_WATER is for live leads
LOOK_S = 1.0  # a busy second brings a few thousand leads of some 2 kB: far less than the fifth that is left


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes. `limit` is Redis' `maxmemory`, 0 for none."""

    used: int = 0
    limit: int = 0

    @property
    def share(self) -> float:
        return self.used / self.limit if self.limit else 0.0

    @property
    def is_short(self) -> bool:
        return self.share >= HIGH_WATER

    def __str__(self) -> str:
        if not self.limit:
            return f"{self.used / 1_000_000:.0f} MB used, no limit"
        return f"{self.share:.0%} of {self.limit / 1_000_000:.0f} MB used"


def fullest(answers: Iterable[Mapping[str, Any]]) -> Memory:
    """Of several servers' `INFO memory` the one with the least room: a lead may belong to any of them."""
    return max((_read(answer) for answer in answers), key=lambda memory: (memory.share, memory.used), default=Memory())


def _read(answer: Mapping[str, Any]) -> Memory:
    # Redis does not hold its own buffers (append-only file, replicas) against the limit.
    used = int(answer.get("used_memory", 0)) - int(answer.get("mem_not_counted_for_evict", 0))
    return Memory(max(0, used), int(answer.get("maxmemory", 0)))


class Room:
    """Whether there is room for new leads. `look` asks Redis, at most every `every_s` seconds while there is.

    `mark` is the share of Redis' memory from which on there is none.
    """

    def __init__(
        self,
        look: Callable[[], Awaitable[Memory]],
        clock: Callable[[], float] = time.monotonic,
        *,
        mark: float = HIGH_WATER,
        every_s: float = LOOK_S,
    ) -> None:
        self._look = look
        self._clock = clock
        self._mark = mark
        self._every_s = every_s
        self._fine_until = float("-inf")

    async def check(self) -> None:
        """Raises: StoreUnavailable, above the mark too: whoever brought the lead must send it again."""
        if self._clock() < self._fine_until:
            return
        memory = await self._look()
        if memory.share >= self._mark:
            raise StoreUnavailable(f"Redis: {memory}, new leads are not taken above {self._mark:.0%}")
        self._fine_until = self._clock() + self._every_s
