"""Tells once what happened to a job or a provider: a log line and a counter, under the same name."""

from __future__ import annotations

import structlog

from leadenrich.core.job import Claim, Event, Outcome
from leadenrich.core.retry import Failure
from leadenrich.store.queue import Receipt, Submission
from leadenrich.telemetry.logs import job_event
from leadenrich.telemetry.metrics import Metrics

log = structlog.get_logger("leadenrich")


class Reporter:
    """`reporter(event, claim, …)` for a job; without a claim for a provider; `receipt(…)` at the door."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def __call__(self, event: Event, claim: Claim | None = None, **more: object) -> None:
        self._metrics.event(event)
        if claim is None:
            log.warning(event.value, **more) if event is Event.PROVIDER_PAUSED else log.info(event.value, **more)
            return
        self._measure(event, claim, more)
        failure = Failure(str(more.pop("error", "")), str(more.pop("stack", ""))) if event is Event.FAILED else None
        job_event(
            log,
            event,
            job_id=claim.job_id,
            contact_id=claim.contact_id,
            location_id=claim.location_id,
            lane=claim.lane,
            attempt=claim.attempt,
            failure=failure,
            **{name: value for name, value in more.items() if value is not None},
        )

    def receipt(self, submission: Submission | None, receipt: Receipt) -> None:
        """A webhook was answered."""
        event = Event(receipt.verb)
        self._metrics.event(event)
        if submission is None:
            log.info(event.value, why=receipt.why)
            return
        job_event(
            log,
            event,
            job_id=receipt.job_id or "",
            contact_id=submission.lead.contact_id,
            location_id=submission.lead.location_id,
            lane=submission.lane,
            attempt=0,
            why=receipt.why or None,
        )

    def _measure(self, event: Event, claim: Claim, more: dict[str, object]) -> None:
        seconds, waited = more.get("seconds"), more.get("waited_s")
        if isinstance(seconds, float):
            self._metrics.job_run_seconds.observe(seconds)
        if event is Event.STARTED and isinstance(waited, float) and not claim.rerun:
            self._metrics.job_wait_seconds.labels(lane=claim.lane.value).observe(max(0.0, waited))
        if event in (Event.COMPLETED, Event.FAILED):
            outcome = more.get("outcome")
            self._metrics.outcome(Outcome(str(outcome)) if outcome else None)
