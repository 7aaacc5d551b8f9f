"""One judge: what an error means for the job."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, strategies as st

from leadenrich.core.errors import Permanent, ProviderOut, Throttled, Transient
from leadenrich.core.job import Outcome, Reason
from leadenrich.core.retry import Bury, Complete, Failure, Release, RetryLater, RetryPolicy, decide, describe

POLICY = RetryPolicy()
RNG = Random(1)


def test_the_first_delays_are_30_60_and_120_seconds() -> None:
    assert [POLICY.delay_after(attempt, RNG) for attempt in (1, 2, 3)] == [30.0, 60.0, 120.0]


@given(st.integers(1, 12), st.floats(0, 600), st.floats(0, 5), st.integers())
def test_a_delay_is_at_least_its_step_and_at_most_the_jitter_above(
    attempt: int, delay_s: float, jitter: float, seed: int
) -> None:
    step = delay_s * 2 ** (attempt - 1)
    delay = RetryPolicy(5, delay_s, jitter).delay_after(attempt, Random(seed))
    assert step <= delay * (1 + 1e-9)
    assert delay <= step * (1 + jitter) * (1 + 1e-9)


@pytest.mark.parametrize(("attempt", "delay_s"), [(1, 30.0), (2, 60.0)])
def test_a_transient_error_uses_up_a_try(attempt: int, delay_s: float) -> None:
    ending = decide(Transient("timeout"), attempt, POLICY, RNG)
    assert isinstance(ending, RetryLater)
    assert ending.delay_s == delay_s
    assert ending.failure.error == "timeout"


@pytest.mark.parametrize(
    ("error", "reason"),
    [(Transient("timeout"), Reason.ATTEMPTS_EXHAUSTED), (ValueError("ours"), Reason.INTERNAL_ERROR)],
)
def test_the_last_try_ends_the_job(error: Exception, reason: Reason) -> None:
    ending = decide(error, 3, POLICY, RNG)
    assert isinstance(ending, Bury)
    assert ending.reason is reason
    assert ending.outcome is None


def test_an_error_of_our_own_is_tried_again_and_named_by_its_type() -> None:
    ending = decide(KeyError("price"), 1, POLICY, RNG)
    assert isinstance(ending, RetryLater)
    assert ending.failure.error == "KeyError: 'price'"


@pytest.mark.parametrize("attempt", [1, 3, 99])
def test_a_throttle_or_a_provider_that_is_out_gives_the_try_back(attempt: int) -> None:
    throttled = decide(Throttled("429", provider="ghl:loc", until_ms=7), attempt, POLICY, RNG)
    assert isinstance(throttled, Release)
    assert (throttled.why, throttled.until_ms) == ("throttled", 7)
    out = decide(ProviderOut("401", provider="realestateapi", kind="auth"), attempt, POLICY, RNG)
    assert isinstance(out, Release)
    assert (out.why, out.until_ms) == ("provider_paused", None)


def test_a_permanent_error_ends_the_job_at_once_with_its_reason_outcome_and_codes() -> None:
    error = Permanent(
        "no such house", reason=Reason.PROPERTY_NOT_FOUND, outcome=Outcome.NO_MATCH, codes=("ADDRESS_MISMATCH",)
    )
    ending = decide(error, 1, POLICY, RNG)
    assert isinstance(ending, Bury)
    assert (ending.reason, ending.outcome, ending.codes) == (
        Reason.PROPERTY_NOT_FOUND,
        Outcome.NO_MATCH,
        ("ADDRESS_MISMATCH",),
    )


def test_a_failure_keeps_its_stack() -> None:
    try:
        raise Transient("broken pipe")
    except Transient as error:
        failure = describe(error)
    assert failure.error == "broken pipe"
    assert "test_a_failure_keeps_its_stack" in failure.trace
    assert failure.trace.startswith("Traceback (most recent call last):\n  File ")
    assert failure.trace.endswith("leadenrich.core.errors.Transient: broken pipe\n")


def test_a_throttled_job_waits_as_long_as_the_provider_says() -> None:
    until = decide(ProviderOut("402", provider="realestateapi", kind="credit", until_ms=11), 1, POLICY, RNG)
    assert isinstance(until, Release)
    assert until.until_ms == 11


def test_what_is_not_said_of_an_ending_is_empty() -> None:
    assert Failure("no").trace == ""
    assert (Complete(Outcome.REVIEW).codes, Complete(Outcome.REVIEW).note) == ((), "")
    buried = Bury(Reason.STALLED, Failure("no"))
    assert (buried.outcome, buried.codes) == (None, ())
