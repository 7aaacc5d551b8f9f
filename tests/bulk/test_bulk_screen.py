"""What is shown while it works: on a terminal, on a pipe, without colours."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from leadenrich.bulk.tally import Tally
from leadenrich.cli.bulk_screen import BulkScreen


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_on_a_pipe_a_line_every_few_seconds_with_rate_and_time_left(clock: Clock) -> None:
    file, tally = io.StringIO(), Tally(queued=900, duplicates=80, rejected=20)
    with BulkScreen("leads.csv", tally, 10_000, console=Console(file=file), clock=clock) as screen:
        screen.show(1_000)
        clock.now += 5
        screen.show(2_000)
        screen.show(2_100)
    assert file.getvalue() == (
        "leads.csv: 900 queued, 80 duplicate, 20 rejected, 200/s, 20%, 0:00:20 left\n"
    )  # one line: the others came too soon


def test_a_wait_is_told_once_and_its_end_too(clock: Clock) -> None:
    file = io.StringIO()
    with BulkScreen("leads.csv", Tally(), 10, console=Console(file=file), clock=clock) as screen:
        for why in ("", "Redis is away", "Redis is away", "", ""):
            screen.wait(why)
    assert file.getvalue() == "leads.csv waits: Redis is away. It goes on by itself.\nleads.csv goes on.\n"


@pytest.mark.parametrize("no_color", [False, True])
def test_on_a_terminal_a_bar_with_rate_and_time_left(
    no_color: bool, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    file, tally = io.StringIO(), Tally(queued=900, rejected=100)
    console = Console(file=file, force_terminal=True, width=120)
    with BulkScreen("leads.csv", tally, 10_000, console=console, clock=clock) as screen:
        clock.now += 2
        screen.wait("Redis is away [/]")
        screen.show(5_000)
    shown = file.getvalue()
    assert "900 queued, 0 duplicate, 100 rejected, 500/s" in shown
    assert "50%" in shown
    assert "waits: Redis is away [/]." in shown
    assert bool(re.search(r"\x1b\[[0-9;]*3[0-9]", shown)) is not no_color


@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        (32, "50%, 4,842/s"),
        (60, "50%, 20 rejected, 4,842/s, 0:04:15 left"),
        (84, "50%, 1,234,567 queued, 20 rejected, 4,842/s, 0:04:15 left"),
        (120, "50%, 1,234,567 queued, 0 duplicate, 20 rejected, 4,842/s, 0:04:15 left"),
    ],
)
def test_where_there_is_little_room_percent_and_rate_are_the_last_to_go(
    columns: int, shown: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    file, tally = io.StringIO(), Tally(queued=1_234_567, duplicates=0, rejected=20)
    console = Console(file=file, force_terminal=True, width=columns, color_system=None)
    with BulkScreen("a_long_name_of_a_file_of_leads.csv", tally, 10_000, console=console, clock=clock) as screen:
        clock.now += 255
        screen.show(5_000)
    [line] = {it for it in re.split(r"[\r\n]|\x1b\[[0-9?]*[A-Za-z]", file.getvalue()) if "50%" in it}
    assert len(line) <= columns
    assert line.startswith("a_long_")
    assert line.endswith(f" {shown}")


def test_who_takes_it_down_has_the_last_word(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """No bar stays below it with what was shown a moment before."""
    monkeypatch.setenv("TERM", "xterm")
    file, tally = io.StringIO(), Tally(queued=900)
    console = Console(file=file, force_terminal=True, width=80, color_system=None)
    with BulkScreen("leads.csv", tally, 10_000, console=console, clock=clock) as screen:
        clock.now += 1
        screen.show(5_000)
        tally.queued = 1_000
        assert screen.take_down() == "1,000 queued, 0 duplicate, 0 rejected"
        file.write("Stopped.")
    assert file.getvalue().endswith("\x1b[1A\x1b[2KStopped."), "the bar's line is cleared, and not drawn again"


def test_a_backfill_whose_total_nobody_told_shows_what_it_counts(clock: Clock) -> None:
    file, tally = io.StringIO(), Tally(queued=5)
    tally.left_out["enriched already"] = 7
    with BulkScreen("loc1", tally, None, console=Console(file=file), clock=clock) as screen:
        clock.now += 6
        screen.show(12)
        clock.now += 6
        screen.show(24, 48)
    assert file.getvalue().splitlines() == [
        "loc1: 5 queued, 0 duplicate, 0 rejected, 7 left out, 2/s",
        "loc1: 5 queued, 0 duplicate, 0 rejected, 7 left out, 1/s, 50%, 0:00:12 left",
    ]
