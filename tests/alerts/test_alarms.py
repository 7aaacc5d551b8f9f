"""What is wrong enough to tell somebody, and that each sentence says what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from leadenrich.alerts.alarms import BRIEF_MS, Situation, alarms, relief
from leadenrich.config import AlertSettings
from leadenrich.core.job import Reason
from leadenrich.store.switches import Pause, PauseKind

NOW = 1_800_000_000_000
SETTINGS = AlertSettings()
BAD, GOOD = Reason.PROPERTY_NOT_FOUND, None


def told(settings: AlertSettings = SETTINGS, **found: Any) -> dict[str, str]:
    return alarms(Situation(**{"pauses": {}, **found}), settings, now_ms=NOW)


def paused(kind: PauseKind, *, until_ms: int = 0, name: str = "ghl:loc1") -> dict[str, Pause]:
    return {name: Pause(kind, "Jo Doe, 12 Elm Court, was refused", until_ms)}


def test_where_all_is_well_nothing_is_told() -> None:
    assert told() == {}
    assert told(oldest_live_wait_s=899, ended=[GOOD] * 50, credits_used=79, credits_limit=100) == {}


@pytest.mark.parametrize("kind", ["outage", "auth", "certificate", "credit", "operator"])
def test_a_paused_provider_is_told_with_what_to_do(kind: PauseKind) -> None:
    [(name, sentence)] = told(pauses=paused(kind)).items()
    assert name == "paused:ghl:loc1"
    assert sentence.startswith("ghl:loc1 is paused: ")
    assert "Do: " in sentence
    assert "{" not in sentence
    assert "Jo Doe" not in sentence  # what a vendor or a person wrote is not repeated
    assert "Elm" not in sentence


def test_a_rate_limit_is_told_when_it_lasts() -> None:
    assert told(pauses=paused("throttle", until_ms=NOW + BRIEF_MS)) == {}
    [sentence] = told(pauses=paused("throttle", until_ms=NOW + BRIEF_MS + 1)).values()
    assert "until 2027-01-15T08:10:00.001Z" in sentence


def test_a_pause_whose_time_is_over_is_none() -> None:
    assert told(pauses=paused("credit", until_ms=NOW)) == {}


def test_the_queue_that_a_person_stopped_is_no_provider() -> None:
    assert told(pauses=paused("operator", name="")) == {}


def test_a_spent_budget_is_told_once_not_as_a_pause_too() -> None:
    assert told(pauses=paused("budget", until_ms=NOW + 1)) == {}
    assert list(told(replace(SETTINGS, budget=(0.8,)), pauses=paused("budget"))) == ["paused:ghl:loc1"]


def test_a_long_wait_is_told_in_words() -> None:
    [(name, sentence)] = told(oldest_live_wait_s=1500).items()
    assert name == "oldest_live_wait"
    assert "has waited 25 min, longer than 15 min" in sentence
    assert told(replace(SETTINGS, oldest_live_wait=0), oldest_live_wait_s=1500) == {}


@pytest.mark.parametrize(
    ("ended", "is_told"),
    [
        ([BAD] * 11 + [GOOD] * 9, True),
        ([BAD] * 10 + [GOOD] * 10, False),  # half is not above half
        ([BAD] * 19, False),  # too few
        ([BAD] * 20, True),
        ([Reason.CANCELLED] * 30 + [GOOD] * 20, False),
        ([Reason.CANCELLED] * 30 + [BAD] * 11 + [GOOD] * 9, True),
    ],
)
def test_failures_are_told_above_their_share(ended: Sequence[Reason | None], is_told: bool) -> None:
    assert ("failed_share" in told(ended=ended)) is is_told


def test_the_most_frequent_reasons_are_named() -> None:
    ended = [Reason.BAD_ADDRESS] * 5 + [BAD] * 20 + [GOOD] * 5
    sentence = told(ended=ended)["failed_share"]
    assert "25 of the last 30 leads ended in FAILED_FINAL (property_not_found 20, bad_address 5)" in sentence
    assert told(replace(SETTINGS, failed_share=0), ended=ended) == {}


@pytest.mark.parametrize(
    ("used", "names"),
    [(79, []), (80, ["budget:80"]), (99, ["budget:80"]), (100, ["budget:80", "budget:100"])],
)
def test_a_budget_is_told_at_its_thresholds(used: int, names: list[str]) -> None:
    assert list(told(credits_used=used, credits_limit=100)) == names
    assert told(credits_used=used, credits_limit=0) == {}


def test_every_alarm_has_words_for_its_end() -> None:
    assert relief("paused:ghl:loc1") == "ghl:loc1 is called again."
    for name in ("oldest_live_wait", "failed_share", "budget:80"):
        assert relief(name) != f"{name} is over."
