"""The benchmark's own reckoning: windows, shares, verdicts. What it measures is no test's business."""

from __future__ import annotations

from itertools import groupby

from bench.__main__ import PHASES
from bench.goals import GOALS, Goal, verdicts
from bench.ingest import BARE
from bench.limiter import SECOND_NS, most_in_a_second, share_used
from bench.samples import OURS, Figures, medians, percentile
from bench.webhooks import BODY_BYTES, signed_form, workflow_form

MS = SECOND_NS // 1000


def judged(ours: float, theirs: float | None, goal: Goal) -> tuple[str, str]:
    figures: Figures = {"phase": {OURS: {"rate": ours}} | ({"rival": {"rate": theirs}} if theirs else {})}
    [verdict] = verdicts(figures, [goal])
    return verdict.is_, verdict.word


def test_a_verdict_compares_with_the_rivals_figure() -> None:
    more = Goal("rate", ("phase", OURS, "rate"), 2, 4, "at least", (("phase", "rival", "rate"),), "rival")
    assert judged(8, 2, more) == ("4.00 ×", "aim")
    assert judged(7, 2, more) == ("3.50 ×", "floor")
    assert judged(3, 2, more) == ("1.50 ×", "**no**")
    assert judged(3, None, more) == ("", "")
    less = Goal("cost", ("phase", OURS, "rate"), 0.5, 0.1, "at most", (("phase", "rival", "rate"),), "rival")
    assert judged(1, 4, less) == ("0.25 ×", "floor")


def test_a_bound_may_be_the_rivals_figure_and_more() -> None:
    goal = Goal("p99", ("phase", OURS, "rate"), 1, 1, "at most", (("phase", "rival", "rate"),), "rival", plus=(3, 1))
    assert judged(3, 2, goal) == ("3", "aim")
    assert judged(5, 2, goal) == ("5", "floor")
    assert judged(5.1, 2, goal) == ("5.1", "**no**")


def test_every_goal_asks_for_a_figure_that_a_phase_gives() -> None:
    places = [place for goal in GOALS for place in (goal.ours, *goal.against)]
    asked = {phase: {figure for _, _, figure in of_it} for phase, of_it in groupby(sorted(places), lambda it: it[0])}
    given = {name: set(phase.unit_of) for name, phase in PHASES.items()}
    assert {phase: figures - given[phase] for phase, figures in asked.items() if figures - given[phase]} == {}
    assert ("ingest", BARE, "p99_ms") in places


def test_the_window_may_begin_anywhere() -> None:
    assert most_in_a_second([0, 999 * MS, 1000 * MS, 1001 * MS]) == 3  # from 999 ms on
    assert most_in_a_second([0, 1000 * MS, 2000 * MS]) == 1


def test_a_share_of_the_rate_is_the_same_for_bursts_and_for_an_even_pace() -> None:
    bursts = [second * SECOND_NS for second in range(5) for _ in range(5)]
    even = [start * SECOND_NS // 5 for start in range(25)]
    assert share_used(bursts, 5) == share_used(even, 5) == 1.0
    assert share_used([start * SECOND_NS // 4 for start in range(25)], 5) == 0.8


def test_percentiles_and_medians() -> None:
    assert percentile(range(1, 101), 0.99) == 99
    assert percentile([7], 0.5) == 7
    assert medians([{"a": 1, "b": 5}, {"a": 3}, {"a": 2}]) == {"a": 2, "b": 5}


def test_every_webhook_is_as_long_as_the_peers() -> None:
    assert {len(form(number)) for form in (signed_form, workflow_form) for number in (0, 7, 99_999_999)} == {BODY_BYTES}
    assert signed_form(1) != signed_form(2)
