"""What an error means for the job: one judge."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from random import Random
from typing import Literal, TypeAlias

from leadenrich.core.errors import Permanent, ProviderOut, Throttled, Transient
from leadenrich.core.job import Outcome, Reason


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`attempts_max` tries in all; the delay before try n+1 is `delay_s` x 2^(n-1), plus up to `jitter` of itself."""

    attempts_max: int = 3
    delay_s: float = 30.0
    jitter: float = 0.0

    def delay_after(self, attempt: int, rng: Random) -> float:
        """Seconds to wait after try number `attempt` (from 1) failed: 30 s, 1 min, 2 min ..."""
        return self.delay_s * 2.0 ** (attempt - 1) * rng.uniform(1.0, 1.0 + self.jitter)


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as it is kept and shown. `trace` is the stack, for the log and the timeline.

    `provider` is who it came from ("" ourselves), `status` the HTTP status that was answered, where one was.
    """

    error: str
    trace: str = ""
    provider: str = ""
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Complete:
    """The job SUCCEEDED. `codes` are all rule codes of severity disqualify and review; `credits` what was paid."""

    outcome: Outcome
    codes: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class RetryLater:
    """Another try after `delay_s`; this one is used up."""

    delay_s: float
    failure: Failure


@dataclass(frozen=True, slots=True)
class Release:
    """Back to wait, the try returned: not the lead's fault."""

    why: Literal["shutdown", "throttled", "provider_paused", "store_away", "no_slot"]
    until_ms: int | None
    failure: Failure


@dataclass(frozen=True, slots=True)
class Bury:
    """FAILED_FINAL."""

    reason: Reason
    failure: Failure
    outcome: Outcome | None = None
    codes: tuple[str, ...] = ()


Ending: TypeAlias = Complete | RetryLater | Release | Bury


def describe(error: BaseException) -> Failure:
    """The error in one line, and its stack."""
    text = str(error) or type(error).__name__
    trace = "".join(traceback.format_exception(error))
    if isinstance(error, Transient | Throttled | ProviderOut | Permanent):
        return Failure(text, trace, error.provider, error.status)
    return Failure(f"{type(error).__name__}: {text}", trace)


def decide(error: Exception, attempt: int, policy: RetryPolicy, rng: Random) -> RetryLater | Release | Bury:
    """Choose between another attempt, going back to wait and FAILED_FINAL. `attempt` counts from 1.

    An error of unknown type is our own bug: retried, since a deploy may save the job.
    """
    failure = describe(error)
    if isinstance(error, Throttled):
        return Release("throttled", error.until_ms, failure)
    if isinstance(error, ProviderOut):
        return Release("provider_paused", error.until_ms, failure)
    if isinstance(error, Permanent):
        return Bury(error.reason, failure, error.outcome, error.codes)
    if attempt >= policy.attempts_max:
        ours = not isinstance(error, Transient)
        return Bury(Reason.INTERNAL_ERROR if ours else Reason.ATTEMPTS_EXHAUSTED, failure)
    return RetryLater(policy.delay_after(attempt, rng), failure)
