"""The demo's screen: on a terminal what has ended stays and what is under way moves below it; else a line a lead."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from leadenrich.sandbox.leads import DemoLead

PIPE_WIDTH = 140

_STYLES = {"SUCCEEDED": "green", "FAILED_FINAL": "yellow", "PROCESSING": "cyan", "RETRY_SCHEDULED": "magenta"}
# Columns: the longest word of each. The lead's story has the rest, 26 of 80, and wraps between its words.
_STATE, _OUTCOME, _WHY, _TRIES = 15, 12, 18, 5


@dataclass(frozen=True, slots=True)
class Line:
    """What is shown of one lead."""

    state: str
    outcome: str = ""
    why: str = ""
    tries: int = 0
    ended: bool = False
    as_expected: bool = False

    @property
    def verdict(self) -> str:
        return ("as expected" if self.as_expected else "NOT AS EXPECTED") if self.ended else ""


class DemoTable:
    """`show` a lead's line as it changes; `end` prints the summary."""

    def __init__(self, count: int, *, summary_table: bool, console: Console | None = None) -> None:
        self._count = count
        self._summary_table = summary_table
        self._console = console or Console(file=sys.stdout)
        if not self._console.is_terminal:
            self._console = Console(file=self._console.file, width=PIPE_WIDTH)
        self._live: Live | None = None
        if self._console.is_terminal:
            # Gone at the end: what it showed stands above by then.
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._lines: dict[str, tuple[DemoLead, Line]] = {}

    def __enter__(self) -> Self:
        if self._live:
            self._console.print(_row("lead", "state", "outcome", "why", "tries", style="bold"))
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def show(self, lead: DemoLead, line: Line) -> None:
        before = self._lines.get(lead.contact_id)
        if before and before[1] == line:
            return
        self._lines[lead.contact_id] = (lead, line)
        if self._live:
            self._live.update(self._under_way(), refresh=not line.ended)
            if line.ended:
                self._console.print(_lead_row(lead, line))  # draws what is under way again, below it
        elif line.ended:
            text = f"{line.state:<12}  {line.outcome or '-':<12}  {lead.story}  {line.why}"
            print(text.rstrip(), f"({line.verdict})", flush=True)

    def end(self, seconds: float, *, calls: int) -> None:
        """The summary, and on a pipe the table too."""
        if self._live:
            for lead, line in self._unfinished():
                self._console.print(_lead_row(lead, line))
            self._live.update(Text(""), refresh=True)
        elif self._summary_table:
            print(file=self._console.file)
            self._console.print(self._table())
        ended = sum(line.ended for _, line in self._lines.values())
        right = sum(line.as_expected for _, line in self._lines.values())
        summary = (
            f"{ended} of {self._count} leads ended in {seconds:.1f} s, {right} as expected; {calls} look-up calls."
        )
        self._console.print(summary, highlight=False)

    @property
    def all_as_expected(self) -> bool:
        lines = [line for _, line in self._lines.values()]
        return len(lines) == self._count and all(line.ended and line.as_expected for line in lines)

    def _unfinished(self) -> list[tuple[DemoLead, Line]]:
        return [(lead, line) for lead, line in self._lines.values() if not line.ended]

    def _under_way(self) -> Table:
        """The leads that have not ended, those that moved first, a row each: never higher than the terminal."""
        waiting = sorted(self._unfinished(), key=lambda it: it[1].state == "QUEUED")
        room = max(1, self._console.height - 2)  # the line that says how many more, and the cursor's own
        table = Table.grid(padding=(0, 2), expand=True)
        table.add_column(width=_STATE, no_wrap=True)
        table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        for lead, line in waiting[:room]:
            table.add_row(_state(line), Text(lead.story))
        if len(waiting) > room:
            table.add_row("", Text(f"... and {len(waiting) - room} more", "dim"))
        return table

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in ("lead", "state", "outcome", "why", "tries", ""):
            table.add_column(name, overflow="fold")
        for lead, line in self._lines.values():
            table.add_row(Text(lead.story), _state(line), line.outcome, line.why, str(line.tries or ""), _verdict(line))
        return table


def _lead_row(lead: DemoLead, line: Line) -> Table:
    why = Text(line.why)
    if line.ended and not line.as_expected:
        why = Text.assemble(why, " " if line.why else "", _verdict(line))
    return _row(Text(lead.story), _state(line), line.outcome, why, str(line.tries or ""))


def _row(*cells: str | Text, style: str = "") -> Table:
    """One line of a table that is printed line by line: the same columns each time."""
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(ratio=1)
    for width in (_STATE, _OUTCOME, _WHY, _TRIES):
        table.add_column(width=width)
    table.add_row(*cells, style=style)
    return table


def _state(line: Line) -> Text:
    return Text(line.state, _STYLES.get(line.state, ""))


def _verdict(line: Line) -> Text:
    return Text(line.verdict, "red" if line.ended and not line.as_expected else "dim")
