"""The job's life: its states, what moves it between them, and the names everybody shows.

The names are fixed: people, scripts and dashboards rely on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec

from leadenrich.core.lead import Lead


class JobState(StrEnum):
    """Where a job is. Spelled so in Redis, the API, the log and the page."""

    QUEUED = "QUEUED"
    PROCESSING = "PROCESSING"
    RETRY_SCHEDULED = "RETRY_SCHEDULED"
    SUCCEEDED = "SUCCEEDED"
    FAILED_FINAL = "FAILED_FINAL"


class Outcome(StrEnum):
    """The lead's fate, which is not the job's state: a disqualified lead is a job that SUCCEEDED."""

    QUALIFIED = "QUALIFIED"
    REVIEW = "REVIEW"
    DISQUALIFIED = "DISQUALIFIED"
    NO_MATCH = "NO_MATCH"
    NO_ADDRESS = "NO_ADDRESS"


class Reason(StrEnum):
    """Why a job ended in FAILED_FINAL."""

    BAD_ADDRESS = "bad_address"
    MISSING_ADDRESS = "missing_address"
    PROPERTY_NOT_FOUND = "property_not_found"
    CONTACT_NOT_FOUND = "contact_not_found"
    REJECTED_BY_PROVIDER = "rejected_by_provider"
    ATTEMPTS_EXHAUSTED = "attempts_exhausted"
    THROTTLED_TOO_LONG = "throttled_too_long"
    STALLED = "stalled"
    CANCELLED = "cancelled"
    INVALID_PAYLOAD = "invalid_payload"
    INTERNAL_ERROR = "internal_error"


class Event(StrEnum):
    """What happened. Log lines, the events stream and the counters carry the same names."""

    QUEUED = "queued"
    DUPLICATE = "duplicate"
    IGNORED = "ignored"
    STARTED = "started"
    COMPLETED = "completed"
    RETRYING = "retrying"
    FAILED = "failed"
    STALLED = "stalled"
    THROTTLED = "throttled"
    PROVIDER_PAUSED = "provider_paused"
    PROVIDER_RESUMED = "provider_resumed"
    REMOVED = "removed"


class Lane(StrEnum):
    """Live leads (webhooks, API) go before bulk ones (imports, backfills)."""

    LIVE = "live"
    BULK = "bulk"


_QUEUED, _PROCESSING, _RETRY = JobState.QUEUED, JobState.PROCESSING, JobState.RETRY_SCHEDULED
_SUCCEEDED, _FAILED = JobState.SUCCEEDED, JobState.FAILED_FINAL

TRANSITIONS: Final[dict[tuple[JobState, str], JobState]] = {
    (_QUEUED, "claim"): _PROCESSING,
    (_PROCESSING, "complete"): _SUCCEEDED,
    (_PROCESSING, "retry_later"): _RETRY,
    (_PROCESSING, "bury"): _FAILED,
    (_PROCESSING, "release"): _QUEUED,  # shutdown, throttle, provider paused: the attempt is not counted
    (_PROCESSING, "reclaim"): _QUEUED,  # its worker died; not an attempt
    (_PROCESSING, "condemn"): _FAILED,  # it stalled once too often while it ran alone
    (_RETRY, "promote"): _QUEUED,  # its delay is over
    (_QUEUED, "cancel"): _FAILED,
    (_RETRY, "cancel"): _FAILED,
    (_FAILED, "revive"): _QUEUED,  # an operator's retry
}
TERMINAL: Final = frozenset({JobState.SUCCEEDED, JobState.FAILED_FINAL})


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One checkpointed step of a job. Times are epoch milliseconds by Redis' clock.

    `ended_ms` is None while the step's intent has no result: the process may have died in the call.
    `result` is what the step itself wrote, opaque to everybody else. `unknown` counts the runs that died between
    intent and result: whether their effect happened nobody knows. `by` is the lease token of the run that wrote an
    intent which is still open.
    """

    name: str
    started_ms: int
    ended_ms: int | None = None
    cached: bool = False
    credits: int = 0
    result: bytes | None = None
    unknown: int = 0
    by: str = ""


class Claim(msgspec.Struct, frozen=True):
    """A job in our hands: valid while its lease is, proven by `token` with every write.

    `attempt` counts the tries from 1, this one included. `alone` says that nothing else runs in this process
    meanwhile; `probe` that this job tries out a provider that is paused after an outage.
    """

    job_id: str
    token: str
    lane: Lane
    location_id: str
    contact_id: str
    attempt: int
    max_attempts: int
    stalled_count: int
    alone: bool
    probe: bool
    created_ms: int
    lead: Lead
    steps: dict[str, StepRecord] = {}  # msgspec gives each its own
    rerun: bool = False  # an earlier run of this job began: it may have left effects behind
