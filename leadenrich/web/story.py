"""A job told in plain sentences: what became of it, and what happened on the way. Plain text, not yet escaped."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Final

from leadenrich.core.job import Event, JobState, Reason
from leadenrich.core.times import iso, span
from leadenrich.store.foreground import PREFIX
from leadenrich.store.interventions import UNTOLD
from leadenrich.store.switches import Pause
from leadenrich.web.shown import EntryShown, JobShown, StepShown

_WHY_NOT: Final[dict[str, str]] = {
    Reason.BAD_ADDRESS: "the address cannot be looked up",
    Reason.MISSING_ADDRESS: "the contact has no address",
    Reason.PROPERTY_NOT_FOUND: "there is no such property",
    Reason.CONTACT_NOT_FOUND: "HighLevel has no such contact any more",
    Reason.REJECTED_BY_PROVIDER: "a provider refused the request",
    Reason.ATTEMPTS_EXHAUSTED: "the last try failed too",
    Reason.THROTTLED_TOO_LONG: "a provider's limit held it up for too long",
    Reason.STALLED: "the process died while it ran alone",
    Reason.CANCELLED: "an operator ended it",
    Reason.INVALID_PAYLOAD: "what is kept of the lead cannot be read",
    Reason.INTERNAL_ERROR: "an error of our own",
}
_DOORS: Final = {
    "workflow": "by a workflow's webhook",
    "api": "by the API",
    "import": "by an import",
    "backfill": "by a backfill",
}
_SAID_ALL: Final = (Reason.MISSING_ADDRESS, Reason.PROPERTY_NOT_FOUND)  # their error says the same again
_RULE: Final = re.compile(r"[A-Z0-9_]+ \((.)([^)]*)\): (.*)", re.DOTALL)
_HANDED_BACK: Final = {
    "shutdown": "handed back, the daemon ended",
    "provider_paused": "handed back, a provider is paused",
    "store_away": "handed back, Redis was away",
    "no_slot": "handed back, no slot became free for it",
}


def headline(
    job: JobShown, why: Mapping[str, str] | None = None, pauses: Mapping[str, Pause] = MappingProxyType({})
) -> str:
    """The sentence on top: what became of the lead, or what it waits for.

    `why` has rules' words by their codes; `pauses` what is paused now, by a provider's name, or "" for the queue.
    """
    held = _held(job, pauses)
    match job.state:
        case JobState.SUCCEEDED:
            codes = [f"{code}: {why[code]}" if why and why.get(code) else code for code in job.disqualified_by]
            said = [f"{job.outcome or 'done'}{_listed(codes, '; ' if why else ', ')}", _note(job), bought(job.steps)]
            return f"Enriched at {clock(job.finished_at)}: {', '.join(part for part in said if part)}."
        case JobState.FAILED_FINAL:
            return f"Not enriched: {_why_not(job)}. Ended at {clock(job.finished_at)}, {bought(job.steps)}."
        case JobState.RETRY_SCHEDULED:
            tries = f"try {job.attempts_made} of {job.max_attempts} failed{_because(job.error)}"
            if held:
                return f"Waiting: {held}. Next try not before {clock(job.next_attempt_at)}; {tries}."
            return f"Waiting: next try at {clock(job.next_attempt_at)}; {tries}."
        case JobState.PROCESSING:
            return f"At work since {clock(job.started_at)}: try {job.attempts_made} of {job.max_attempts}."
    if held:
        return f"Waiting since {clock(job.created_at)}: {held}."
    if job.next_attempt_at:
        return f"Waiting until {clock(job.next_attempt_at)}{_because(job.error)}."
    return f"Waiting for its turn since {clock(job.created_at)}{_because(job.error)}."


def paused(name: str, pause: Pause) -> str:
    """What is paused ("" is the queue), by whom, since when, until when and why."""
    by = f" by {pause.by}" if pause.by else ""
    since = f" since {clock(iso(pause.since_ms))}" if pause.since_ms else ""
    until = f" until {clock(iso(pause.until_ms))}" if pause.until_ms else ""
    why = "" if pause.by and pause.reason == UNTOLD else _because(pause.reason)
    return f"{name or 'the queue'} is paused{by}{since}{until}{why}"


def told(entry: EntryShown) -> str:
    """One line of the timeline; its error and stack are shown apart."""
    match entry.event:
        case Event.QUEUED:
            return _HANDED_BACK.get(entry.why, entry.why) or "came in"
        case Event.STARTED:
            return f"try {entry.attempt} began"
        case Event.COMPLETED:
            said = [f"{entry.outcome}{_listed(entry.codes)}", entry.note, f"{entry.seconds:.1f} s of work"]
            return ", ".join(part for part in said if part)
        case Event.RETRYING:
            return f"try {entry.attempt} failed, the next one after {entry.delay_s:g} s"
        case Event.FAILED:
            return _WHY_NOT.get(entry.reason, entry.reason)
        case Event.STALLED:
            return "its process died" + (" while it ran alone: charged" if entry.charged else "; not charged")
        case Event.THROTTLED:
            return "a provider's limit" + (f", waits until {clock(entry.until)}" if entry.until else "")
    return entry.why or entry.note


def rule_in_words(sentence: str) -> str:
    """A rule's sentence beside its code: `LOW_EQUITY (disqualifies): when …` as `Disqualifies when …`."""
    found = _RULE.fullmatch(sentence)
    return f"{found[1].upper()}{found[2]} {found[3]}" if found else sentence


def clock(moment: str | None) -> str:
    """ISO 8601 to the second, as people read it."""
    return f"{moment[:19].replace('T', ' ')} UTC" if moment else "an unknown time"


def took(began: str, ended: str | None) -> str:
    """`12 ms`, `1.02 s`; of a step without an end nobody knows."""
    if ended is None:
        return "not ended"
    seconds = (datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds()
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def age(seconds: float | None) -> str:
    """How long the oldest waits."""
    return "nothing waits" if seconds is None else span(seconds)


def _why_not(job: JobShown) -> str:
    if "ADDRESS_MISMATCH" in job.disqualified_by:
        return "the record that came back is of another house or zip"
    why = _WHY_NOT.get(job.reason or "", job.reason or "nobody knows why")
    return why if job.reason in _SAID_ALL else why + _because(job.error)


def _note(job: JobShown) -> str:
    return next((entry.note for entry in reversed(job.timeline) if entry.event == Event.COMPLETED), "")


def bought(steps: Sequence[StepShown]) -> str:
    """What the steps cost."""
    spent = sum(step.credits for step in steps)
    if spent:
        return "1 credit" if spent == 1 else f"{spent} credits"
    return "from the cache, no credit" if any(step.cached for step in steps) else "no credit"


def came_by(job: JobShown) -> str:
    """By which event, and how late after it: `create event, 0.2 s after HighLevel's`; "" where the lead is gone."""
    lead = job.lead
    if lead is None:
        return ""
    told = _DOORS.get(lead.kind, f"by HighLevel's {lead.kind} event")
    by = next((entry.by for entry in job.timeline if entry.event == Event.STARTED), "")
    if by.startswith(PREFIX):  # whose job is held from its first moment: nobody else began it
        told = "by leadenrich enrich at a shell"
    late_s = datetime.fromisoformat(job.created_at).timestamp() - lead.event_ms / 1000 if job.created_at else 0.0
    return f"{told}, {span(late_s)} after it happened" if lead.event_ms and late_s >= 0 else told


def _held(job: JobShown, pauses: Mapping[str, Pause]) -> str:
    """What is paused and keeps a job waiting beyond its own time: a claim asks for the queue and for both vendors."""
    due_ms = datetime.fromisoformat(job.next_attempt_at).timestamp() * 1000 if job.next_attempt_at else 0.0
    names = ("", "realestateapi", f"ghl:{job.location_id}")
    held = ((name, pauses[name]) for name in names if name in pauses)
    return "; ".join(paused(name, pause) for name, pause in held if not 0 < pause.until_ms < due_ms)


def _listed(codes: list[str], between: str = ", ") -> str:
    return f" ({between.join(codes)})" if codes else ""


def _because(error: str | None) -> str:
    return f" ({error.rstrip('.')})" if error else ""
