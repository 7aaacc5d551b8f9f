"""The state machine: which state may follow which, and what every door shows of it."""

from __future__ import annotations

from leads import lead

from leadenrich.core.job import TERMINAL, TRANSITIONS, Claim, Event, JobState, Lane, Outcome, Reason, StepRecord


def test_the_five_states_are_spelled_as_the_contract_says() -> None:
    assert [str(state) for state in JobState] == [
        "QUEUED",
        "PROCESSING",
        "RETRY_SCHEDULED",
        "SUCCEEDED",
        "FAILED_FINAL",
    ]


def test_names_shown_outside_are_fixed() -> None:
    assert {str(reason) for reason in Reason} == {
        "bad_address",
        "missing_address",
        "property_not_found",
        "contact_not_found",
        "rejected_by_provider",
        "attempts_exhausted",
        "throttled_too_long",
        "stalled",
        "cancelled",
        "invalid_payload",
        "internal_error",
    }
    assert [str(outcome) for outcome in Outcome] == ["QUALIFIED", "REVIEW", "DISQUALIFIED", "NO_MATCH", "NO_ADDRESS"]
    assert [str(event) for event in Event] == [
        "queued",
        "duplicate",
        "ignored",
        "started",
        "completed",
        "retrying",
        "failed",
        "stalled",
        "throttled",
        "provider_paused",
        "provider_resumed",
        "removed",
    ]
    assert [str(lane) for lane in Lane] == ["live", "bulk"]


def test_a_step_is_an_intent_and_a_claim_a_first_run_until_they_say_otherwise() -> None:
    step = StepRecord("property", 1)
    assert (step.ended_ms, step.cached, step.credits, step.result, step.unknown, step.by) == (
        None,
        False,
        0,
        None,
        0,
        "",
    )
    claim = Claim("j", "t", Lane.LIVE, "l", "c", 1, 3, 0, False, False, 1, lead())
    assert (claim.steps, claim.rerun) == ({}, False)


def test_a_job_that_succeeded_stays_so() -> None:
    assert not [verb for state, verb in TRANSITIONS if state is JobState.SUCCEEDED]


def test_only_an_operator_brings_a_failed_job_back() -> None:
    assert [verb for state, verb in TRANSITIONS if state is JobState.FAILED_FINAL] == ["revive"]


def test_every_state_is_reached_and_every_job_can_end() -> None:
    reached = {JobState.QUEUED}
    while more := {after for (before, _), after in TRANSITIONS.items() if before in reached} - reached:
        reached |= more
    assert reached == set(JobState)
    for state in set(JobState) - TERMINAL:
        ends = {state}
        while more := {after for (before, _), after in TRANSITIONS.items() if before in ends} - ends:
            ends |= more
        assert ends & TERMINAL


def test_only_a_job_in_hand_can_end_by_its_work() -> None:
    verbs = {verb for (before, verb), after in TRANSITIONS.items() if after is JobState.SUCCEEDED}
    assert verbs == {"complete"}
    assert {before for before, verb in TRANSITIONS if verb == "complete"} == {JobState.PROCESSING}
