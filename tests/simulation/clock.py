"""Time that passes only when nobody has anything to do, and an order of tasks that the seed decides."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import selectors
import time
import weakref
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from random import Random
from typing import Any

from leadenrich.store import job_id

BEGIN_S = datetime(2026, 11, 23, 23, 55, tzinfo=UTC).timestamp()  # the day ends within a simulation

owner: ContextVar[str] = ContextVar("owner", default="world")
"""The daemon, by name and boot, whose task this is."""


class VirtualTime:
    """Three clocks: the monotonic one, the hosts' wall clock, and Redis' wall clock, which may jump."""

    def __init__(self, rng: Random) -> None:
        self.now = 1_000.0  # monotonic seconds
        self.redis_jump_s = 0.0
        self.hosts_jump_s = 0.0
        self._in_redis = False
        self._rng = rng

    def wall(self) -> float:
        return BEGIN_S + self.now - 1_000.0 + (self.redis_jump_s if self._in_redis else self.hosts_jump_s)

    def true_ms(self) -> int:
        """Epoch milliseconds by a clock that never jumps: the vendors'."""
        return round((BEGIN_S + self.now - 1_000.0) * 1000)

    @contextlib.contextmanager
    def in_redis(self) -> Iterator[None]:
        """What runs inside, at one moment, sees Redis' clock."""
        self._in_redis = True
        try:
            yield
        finally:
            self._in_redis = False

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Clocks and chance are the simulation's: our code and fakeredis' is as it is."""
        bits = self._rng.getrandbits
        replaced: list[tuple[Any, str, Any]] = [
            (time, "time", self.wall),
            (time, "time_ns", lambda: round(self.wall() * 1e9)),
            (time, "monotonic", lambda: self.now),
            (secrets, "token_hex", lambda many=32: f"{bits(many * 8):0{many * 2}x}"),
            (job_id, "_RANDOM", self._rng),
        ]
        before = [(module, name, getattr(module, name)) for module, name, _ in replaced]
        for module, name, instead in replaced:
            setattr(module, name, instead)
        try:
            yield
        finally:
            for module, name, original in before:
                setattr(module, name, original)


class _Selector(selectors.SelectSelector):
    """There are no sockets: where the loop would sleep, time passes."""

    def __init__(self, clock: VirtualTime) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("nothing will ever happen any more, and the simulation has not ended")
        self._clock.now += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Steps of different tasks that are ready at the same moment run in an order drawn by the seed."""

    def __init__(self, clock: VirtualTime, rng: Random) -> None:
        super().__init__(_Selector(clock))
        self._clock = clock
        self._rng = rng
        self._serials: weakref.WeakKeyDictionary[asyncio.Task[Any], int] = weakref.WeakKeyDictionary()
        self._owners: dict[str, weakref.WeakSet[asyncio.Task[Any]]] = {}
        self._born = 0
        self.set_task_factory(self._new_task)  # type: ignore[arg-type]

    def time(self) -> float:
        return self._clock.now

    def tasks_of(self, name: str) -> list[asyncio.Task[Any]]:
        """Those that have not ended, the oldest first."""
        alive = [task for task in self._owners.get(name, ()) if not task.done()]
        return sorted(alive, key=self._serials.__getitem__)

    def _new_task(self, loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        task = asyncio.Task(coroutine, loop=loop, **options)
        self._born += 1
        self._serials[task] = self._born
        self._owners.setdefault(owner.get(), weakref.WeakSet()).add(task)
        return task

    def _run_once(self) -> None:
        ready = self._ready  # type: ignore[attr-defined]
        places = [at for at, handle in enumerate(ready) if self._task_of(handle) is not None]
        if len(places) > 1:
            # By serial first: sets of tasks have no order of their own, and it must not depend on memory addresses.
            handles = sorted((ready[at] for at in places), key=lambda it: self._serials[self._task_of(it)])
            self._rng.shuffle(handles)
            for at, handle in zip(places, handles, strict=True):
                ready[at] = handle
        super()._run_once()  # type: ignore[misc]

    def _task_of(self, handle: Any) -> Any:
        mine = getattr(handle._callback, "__self__", None)
        return mine if isinstance(mine, asyncio.Task) and mine in self._serials else None
