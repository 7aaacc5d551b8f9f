"""What an import or a backfill shows while it works: a bar on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from leadenrich.bulk.tally import Tally

LINE_S: Final = 5.0


class BulkScreen:
    """`total` is what `show` counts to: bytes of a file, contacts of a location; None where nobody knows."""

    def __init__(
        self,
        title: str,
        tally: Tally,
        total: int | None,
        *,
        console: Console,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._title = title
        self._tally = tally
        self._total = total
        self._console = console
        self._clock = clock
        self._began = self._told = clock()
        self._waiting = ""
        self._bar: Progress | None = None
        if console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=None),
                TaskProgressColumn(),
                TextColumn("{task.fields[told]}", markup=False),
                TimeRemainingColumn(compact=True),
                console=console,
            )
            self._task = self._bar.add_task(title, total=total, told="")

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    @property
    def seconds(self) -> float:
        return self._clock() - self._began

    def show(self, done: int, total: int | None = None) -> None:
        """So far; `total` where it became known by now."""
        self._total = total if total is not None else self._total
        if self._bar:
            self._bar.update(self._task, completed=done, total=self._total, told=f"{self._counts()}, {self._rate()}")
        elif self._clock() - self._told >= LINE_S:
            self._told = self._clock()
            self._print(f"{self._title}: {self._counts()}, {self._rate()}{self._left(done)}")

    def wait(self, why: str) -> None:
        """Nothing moves, and why; "" when it goes on. Told once for each reason."""
        if why == self._waiting or (not why and not self._waiting):
            return
        told = f"{self._title} waits: {why.rstrip('.')}. It goes on by itself." if why else f"{self._title} goes on."
        if bool(why) != bool(self._waiting) or not self._bar:
            self._print(told)
        self._waiting = why
        if self._bar and why:
            self._bar.update(self._task, told="waits")

    def _print(self, text: str) -> None:
        if self._bar:
            self._bar.console.print(text, markup=False, highlight=False)
        else:
            print(text, file=self._console.file, flush=True)

    def _counts(self) -> str:
        tally = self._tally
        told = f"{tally.queued:,} queued, {tally.duplicates:,} duplicate, {tally.rejected:,} rejected"
        return told + (f", {tally.left_out.total():,} left out" if tally.left_out else "")

    def _rate(self) -> str:
        return f"{self._tally.seen / max(self.seconds, 0.001):,.0f}/s"

    def _left(self, done: int) -> str:
        if not self._total or not done:
            return ""
        left = timedelta(seconds=round(self.seconds * max(0, self._total - done) / done))
        return f", {min(done / self._total, 1):.0%}, {left} left"
