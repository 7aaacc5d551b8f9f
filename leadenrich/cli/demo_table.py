"""The demo's screen: a live table on a terminal; elsewhere one flushed line a lead."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from leadenrich.sandbox.leads import DemoLead

PIPE_WIDTH = 140

_STYLES = {"SUCCEEDED": "green", "FAILED_FINAL": "yellow", "PROCESSING": "cyan", "RETRY_SCHEDULED": "magenta"}


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

    def __init__(self, count: int, *, summary_table: bool) -> None:
        self._count = count
        self._summary_table = summary_table
        self._console = Console(file=sys.stdout)
        if not self._console.is_terminal:
            self._console = Console(file=sys.stdout, width=PIPE_WIDTH)
        self._live = Live(console=self._console, auto_refresh=False) if self._console.is_terminal else None
        self._lines: dict[str, tuple[DemoLead, Line]] = {}

    def __enter__(self) -> Self:
        if self._live:
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
            self._live.update(self._table(), refresh=True)
        elif line.ended:
            text = f"{line.state:<12}  {line.outcome or '-':<12}  {lead.story}  {line.why}"
            print(text.rstrip(), f"({line.verdict})", flush=True)

    def end(self, seconds: float, *, calls: int) -> None:
        """The summary, and on a pipe the table too."""
        if self._summary_table and not self._live:
            print()
            self._console.print(self._table())
        ended = sum(line.ended for _, line in self._lines.values())
        right = sum(line.as_expected for _, line in self._lines.values())
        summary = (
            f"{ended} of {self._count} leads ended in {seconds:.1f} s, {right} as expected; {calls} look-up calls."
        )
        (self._live.console if self._live else self._console).print(summary, highlight=False)

    @property
    def all_as_expected(self) -> bool:
        lines = [line for _, line in self._lines.values()]
        return len(lines) == self._count and all(line.ended and line.as_expected for line in lines)

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in ("lead", "state", "outcome", "why", "tries", ""):
            table.add_column(name, overflow="fold")
        for lead, line in self._lines.values():
            style = _STYLES.get(line.state, "")
            verdict = f"[red]{line.verdict}" if line.ended and not line.as_expected else f"[dim]{line.verdict}"
            tries = str(line.tries) if line.tries else ""
            table.add_row(
                lead.story, f"[{style}]{line.state}" if style else line.state, line.outcome, line.why, tries, verdict
            )
        return table
