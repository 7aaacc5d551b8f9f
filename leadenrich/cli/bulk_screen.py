"""What an import or a backfill shows while it works: a bar on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from leadenrich.bulk.tally import Tally

LINE_S: Final = 5.0
_BAR_COLUMNS_MIN: Final = 4


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
                BarColumn(bar_width=None),  # has what the words leave
                TextColumn("{task.fields[told]}", style="progress.remaining", markup=False),
                console=console,
            )
            self._task = self._bar.add_task(_short(title, console.width), total=total, told="")

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def take_down(self) -> str:
        """The bar goes, for what is said next is the last word: what was counted by now."""
        if self._bar:
            self._bar.live.transient = True
            self._bar.stop()
        return ", ".join(self._counts())

    @property
    def seconds(self) -> float:
        return self._clock() - self._began

    def show(self, done: int, total: int | None = None) -> None:
        """So far; `total` where it became known by now."""
        self._total = total if total is not None else self._total
        left = self._left(done)
        if self._bar:
            title = _short(self._title, self._bar.console.width)
            told = self._within(self._bar.console.width - len(title), left)
            self._bar.update(self._task, description=title, completed=done, total=self._total, told=told)
        elif self._clock() - self._told >= LINE_S:
            self._told = self._clock()
            self._print(f"{self._title}: {', '.join([*self._counts(), self._rate(), *left])}")

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

    def _within(self, columns: int, left: Sequence[str]) -> str:
        """As much as there is room for; how far and how fast it goes are the last to go."""
        percent, time_left = (left[0], left[1]) if left else ("", "")
        counts, rate = self._counts(), self._rate()
        shown = [percent, rate]
        room = columns - _BAR_COLUMNS_MIN - 2  # a blank between two columns
        # Of the counts those that are none yet tell the least.
        for part in (time_left, *sorted(counts, key=lambda count: count.startswith("0 "))):
            if len(_listed([*shown, part])) <= room:
                shown.append(part)
        return _listed([part for part in (percent, *counts, rate, time_left) if part in shown])

    def _counts(self) -> list[str]:
        tally = self._tally
        told = [f"{tally.queued:,} queued", f"{tally.duplicates:,} duplicate", f"{tally.rejected:,} rejected"]
        return [*told, f"{tally.left_out.total():,} left out"] if tally.left_out else told

    def _rate(self) -> str:
        return f"{self._tally.seen / max(self.seconds, 0.001):,.0f}/s"

    def _left(self, done: int) -> list[str]:
        """Percent and time; nothing where nobody knows how much there is."""
        if not self._total or not done:
            return []
        left = timedelta(seconds=round(self.seconds * max(0, self._total - done) / done))
        return [f"{min(done / self._total, 1):.0%}", f"{left} left"]


def _listed(parts: Sequence[str]) -> str:
    return ", ".join(part for part in parts if part)


def _short(title: str, columns: int) -> str:
    """A quarter of the terminal at most: a long file's name takes no room from the figures."""
    most = max(1, columns // 4)
    return title if len(title) <= most else f"{title[: most - 1]}…"
