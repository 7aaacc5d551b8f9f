"""Tells once what happened to a job or a provider: a log line and a counter, under the same name."""

from __future__ import annotations

import re
from typing import Any, Final

import structlog

from leadenrich.core.job import Claim, Event, Outcome
from leadenrich.core.lead import Lead
from leadenrich.core.retry import Failure
from leadenrich.store.queue import Receipt, Submission
from leadenrich.telemetry.logs import is_heard, job_event
from leadenrich.telemetry.metrics import Metrics
from leadenrich.telemetry.redaction import MASK

log = structlog.get_logger("leadenrich")

_NAME_CHARS_MIN: Final = 3  # shorter ones are words of every other sentence
_HOUSE: Final = re.compile(r"^\s*\d+\S*\s+")


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
        if not is_heard(event, more):
            return
        # The page shows the error as it is; a log goes to more people, and stays longer.
        for name in ("error", "stack"):
            if more.get(name):
                more[name] = without_person(str(more[name]), claim.lead)
        failure = Failure(str(more.pop("error", "")), str(more.pop("stack", ""))) if event is Event.FAILED else None
        job_event(
            event,
            job_id=claim.job_id,
            contact_id=claim.contact_id,
            location_id=claim.location_id,
            lane=claim.lane,
            attempt=claim.attempt,
            failure=failure,
            **more if None not in more.values() else {name: value for name, value in more.items() if value is not None},
        )

    def receipt(self, submission: Submission | None, receipt: Receipt) -> None:
        """A webhook was answered."""
        event = Event(receipt.verb)
        self._metrics.event(event)
        if submission is None:
            log.info(event.value, why=receipt.why)
            return
        # A member without a value would take the log a closer look, five times the cost of the line.
        why: dict[str, Any] = {"why": receipt.why} if receipt.why else {}
        job_event(
            event,
            job_id=receipt.job_id or "",
            contact_id=submission.lead.contact_id,
            location_id=submission.lead.location_id,
            lane=submission.lane,
            attempt=0,
            **why,
        )

    def _measure(self, event: Event, claim: Claim, more: dict[str, object]) -> None:
        seconds, waited = more.get("seconds"), more.get("waited_s")
        if isinstance(seconds, float):
            self._metrics.job_run_seconds.observe(seconds)
        if event is Event.STARTED and isinstance(waited, float) and not claim.rerun:
            self._metrics.waited(claim.lane, waited)
        if event in (Event.COMPLETED, Event.FAILED):
            outcome = more.get("outcome")
            self._metrics.outcome(Outcome(str(outcome)) if outcome else None)


def without_person(text: str, lead: Lead) -> str:
    """A vendor's complaint, or an exception of our own, without what it repeats of the lead: name, street, contact.

    Of a lead whose event told no more than its contact's id, nothing is known here.
    """
    streets = {told for line in (lead.address.line1, lead.address.full) for told in (line, _HOUSE.sub("", line))}
    told = {lead.name, lead.first_name, lead.last_name, lead.email, lead.phone} | streets
    known = sorted((re.escape(it) for it in told if len(it) >= _NAME_CHARS_MIN), key=len, reverse=True)
    return re.sub(rf"(?<!\w)(?:{'|'.join(known)})(?!\w)", MASK, text, flags=re.IGNORECASE) if known else text
