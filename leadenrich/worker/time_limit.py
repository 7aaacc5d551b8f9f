"""One time limit for many runs, on one timer: one each would cost as much as a brief run itself."""

from __future__ import annotations

import asyncio
from types import TracebackType


class TimeLimit:
    """`with limit():` bounds what the task does inside by `seconds`, as `asyncio.timeout` does.

    All that run under one limit have the same time, so they end in the order in which they began.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._ends: dict[_Run, float] = {}  # the loop's time, the earliest first
        self._timer: asyncio.TimerHandle | None = None

    def __call__(self) -> _Run:
        return _Run(self)

    def add(self, run: _Run) -> None:
        ends = asyncio.get_running_loop().time() + self.seconds
        self._ends[run] = ends
        if self._timer is None:
            self._wake_at(ends)

    def discard(self, run: _Run) -> None:
        """The timer stays: what it finds then, it waits for."""
        self._ends.pop(run, None)

    def _wake_at(self, when: float) -> None:
        self._timer = asyncio.get_running_loop().call_at(when, self._end_late_ones)

    def _end_late_ones(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        for run, ends in self._ends.items():
            if ends > now:
                self._wake_at(ends)
                break
            run.end()


class _Run:
    """One run under the limit. Raises at its end: TimeoutError, when it took too long."""

    __slots__ = ("_cancelling", "_limit", "_over", "_task")

    def __init__(self, limit: TimeLimit) -> None:
        self._limit = limit
        self._over = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None, "there is no task that could be stopped"
        self._task = task
        self._cancelling = task.cancelling()
        self._limit.add(self)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._limit.discard(self)
        if self._over and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def end(self) -> None:
        if not self._over:
            self._over = True
            self._task.cancel()
