"""The page of one lead: a sentence, the way it went, what was bought, written and decided. `escape` stands around every
value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode

import msgspec

from leadenrich.core.job import TERMINAL, Event, JobState
from leadenrich.store.switches import Pause
from leadenrich.web.access import Session
from leadenrich.web.frame import act_form, cell, folded, framed, moment, refreshing, row, row_head, state_of, table
from leadenrich.web.shown import EntryShown, JobShown, StepShown
from leadenrich.web.story import bought, came_by, headline, rule_in_words, told, took
from leadenrich.web.written_section import written_section

if TYPE_CHECKING:
    from leadenrich.enrich.hindsight import Asked, Hindsight

WAITING: Final = (JobState.QUEUED, JobState.RETRY_SCHEDULED)
_CONTACT: Final = "https://app.gohighlevel.com/v2/location/{location}/contacts/detail/{contact}"
_ENDS: Final = (Event.COMPLETED, Event.RETRYING, Event.FAILED, Event.STALLED, Event.THROTTLED, Event.QUEUED)


@dataclass(frozen=True, slots=True)
class LeadShown:
    """What the page shows. `hindsight` is what the settings in force make of the lead, or the sentence why nobody can
    tell; `payload` the lead as it came in, as this visitor may see it, "" where it is gone; `rules` code → sentence."""

    job: JobShown
    hindsight: Hindsight | str
    payload: str
    rules: dict[str, str] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)
    pauses: dict[str, Pause] = field(default_factory=dict)


@dataclass(slots=True)
class _Run:
    """One try. `end` is None while it runs; `steps` began in it."""

    start: EntryShown
    end: EntryShown | None = None
    steps: list[StepShown] = field(default_factory=list)


def contact_address(location_id: str, contact_id: str) -> str:
    """Where HighLevel's own app shows a contact; agencies with a domain of their own are led on from there.

    The form is what its address bar shows; no document of theirs promises it.
    """
    return _CONTACT.format(location=quote(location_id, safe=""), contact=quote(contact_id, safe=""))


def job_page(lead: LeadShown, visitor: Session) -> str:
    job = lead.job
    path = f"/jobs/{job.id}"
    name = job.title or job.id
    content = f"""<p class="headline {escape(job.state.lower())}">{escape(headline(job, lead.why, lead.pauses))}</p>
<div class="acts">{_acts(job, visitor)}</div>
<section aria-labelledby="facts"><h2 id="facts">Facts</h2>{_facts(job)}</section>
<section aria-labelledby="way"><h2 id="way">The way it went (UTC)</h2><ol class="timeline">{_way(job)}</ol></section>
{_decided(lead)}
{written_section(job, lead.hindsight, shows_values=visitor.role == "admin")}
{_payload(lead.payload, visitor)}"""
    others = _others(job)
    links = f"""<p class="dim"><a href="/jobs">All jobs</a>
 · <a href="/api/v1/jobs/{escape(job.id)}">This job as JSON</a>
 · <a href="/settings?job={escape(job.id)}">Try other rules on this lead</a></p>"""
    live = "" if job.state in TERMINAL else f"/live?job={job.id}"
    return framed(name, escape(name), refreshing(content, path) + others + links, visitor, here="/jobs", live=live)


def _acts(job: JobShown, visitor: Session) -> str:
    if job.state == JobState.FAILED_FINAL:
        return act_form(visitor, f"/jobs/{job.id}/retry", "Run it again")
    if job.state in WAITING and visitor.may_act:
        asked = urlencode({"do": "cancel", "id": job.id})
        return f'<p><a href="/jobs/confirm?{escape(asked)}" role="button" class="quiet">Cancel …</a></p>'
    return ""


def _facts(job: JobShown) -> str:
    ended = job.state in TERMINAL
    facts = {
        "State": state_of(job.state),
        "Outcome": escape(job.outcome or ""),
        "Reason": escape(job.reason or ""),
        "Rules": escape(", ".join(job.disqualified_by)),
        "Bought": escape(bought(job.steps)),
        "Address": escape(job.address),
        "Phone": escape(job.lead.phone if job.lead else ""),
        "E-mail": escape(job.lead.email if job.lead else ""),
        "Contact": _contact(job),
        "Location": escape(job.location_id),
        "Job": escape(job.id),
        "Lane": escape(job.lane),
        "Tries": f"{job.attempts_made} of {job.max_attempts}",
        "Stalls": f"{job.stalled_count}" if job.stalled_count else "",
        "Came in": moment(job.created_at),
        "Started": moment(job.started_at),
        "Ended": moment(job.finished_at),
        "Next try": "" if ended else moment(job.next_attempt_at),
    }
    return (
        f"<dl>{''.join(f'<div><dt>{name}</dt><dd>{value}</dd></div>' for name, value in facts.items() if value)}</dl>"
    )


def _contact(job: JobShown) -> str:
    if not (job.contact_id and job.location_id):
        return escape(job.contact_id)
    at = contact_address(job.location_id, job.contact_id)
    return f'<a href="{escape(at)}" rel="noreferrer">{escape(job.contact_id)}</a>'


def _way(job: JobShown) -> str:
    """How it came in, each try with its steps and its end, and what happened between two tries."""
    return "".join(
        _run(part) if isinstance(part, _Run) else _entry(part, came_by(job) if part is job.timeline[0] else "")
        for part in _chain(job.timeline, job.steps)
    )


def _chain(timeline: Sequence[EntryShown], steps: Sequence[StepShown]) -> list[_Run | EntryShown]:
    chain: list[_Run | EntryShown] = []
    open_run: _Run | None = None
    for entry in timeline:
        if entry.event == Event.STARTED:
            open_run = _Run(entry)
            chain.append(open_run)
        elif open_run is not None and entry.event in _ENDS:
            open_run.end, open_run = entry, None
        else:
            chain.append(entry)
    runs = [part for part in chain if isinstance(part, _Run)]
    for step in steps:  # of two tries the later one that had begun; ISO 8601 compares as it reads
        run = next((it for it in reversed(runs) if it.start.time <= step.started_at), runs[0] if runs else None)
        if run is not None:
            run.steps.append(step)
    if steps and not runs:
        chain.append(_Run(EntryShown(steps[0].started_at, Event.STARTED), None, list(steps)))
    return chain


def _entry(entry: EntryShown, how: str = "") -> str:
    said = escape(", ".join(part for part in (told(entry), how) if part))
    return f"<li>{moment(entry.time)} <strong>{escape(entry.event)}</strong> <span>{said}</span>{_error(entry)}</li>"


def _run(run: _Run) -> str:
    end = ""
    if run.end is not None:
        lasted = escape(took(run.start.time, run.end.time))
        end = (
            f"<p>{moment(run.end.time)} <strong>{escape(run.end.event)}</strong> <span>{escape(told(run.end))}</span> "
            f'<span class="dim">after {lasted}</span>{_error(run.end)}</p>'
        )
    by = f' <span class="dim">by {escape(run.start.by)}</span>' if run.start.by else ""
    said = escape(told(run.start))
    return (
        f"<li>{moment(run.start.time)} <strong>{escape(run.start.event)}</strong> <span>{said}</span>{by}"
        f"{_steps(run.steps) if run.steps else ''}{end}</li>"
    )


def _error(entry: EntryShown) -> str:
    """Folded: most people want the sentence, and a stack is long."""
    if not (entry.error or entry.trace):
        return ""
    text = "\n\n".join(part for part in (entry.error, entry.trace) if part)
    name = "Error and stack" if entry.trace else "Error"
    return folded(name, f"<pre>{escape(text)}</pre>")


def _steps(steps: Sequence[StepShown]) -> str:
    rows = "".join(
        row(
            row_head(escape(step.name)),
            cell(moment(step.started_at, day=False)),
            cell(escape(took(step.started_at, step.ended_at)), "number"),
            cell(_paid(step)),
        )
        for step in steps
    )
    return table("Steps", ("Step", "Began", "Took", "Credits"), rows, "steps")


def _paid(step: StepShown) -> str:
    lost = f" (and {step.unknown} cut off, charged or not)" if step.unknown else ""
    return ("from the cache" if step.cached else f"{step.credits}") + lost


def _decided(lead: LeadShown) -> str:
    """How each rule stands: Redis keeps the codes of those that fired, and the rules in force are asked again."""
    if lead.job.state not in TERMINAL:
        return ""
    told_now = lead.hindsight
    if isinstance(told_now, str):
        fired, others = _rules_by_code(lead)
        note = f"By the codes that are kept, in the words of the rules in force: {told_now}."
    else:
        codes = lead.job.disqualified_by
        fired = [_rule(it, codes) for it in told_now.rules if it.hit or it.rule.code in codes]
        others = [_rule(it, codes) for it in told_now.rules if not it.hit and it.rule.code not in codes]
        note = "The rules in force, asked again of the record that was bought; ages as of the run's end."
        changed = lead.job.outcome and told_now.verdict.outcome != lead.job.outcome
        note += f" They would say {told_now.verdict.outcome} now, not {lead.job.outcome}." if changed else ""
    if not fired and not others:
        return ""
    heads = ("Rule", "Says", "In words")
    shown = table("Rules that fired", heads, "".join(fired), "wide") if fired else "<p>No rule fired.</p>"
    rest = folded(f"{len(others)} rules did not fire", table("Rules that did not fire", heads, "".join(others), "wide"))
    return f"""<section aria-labelledby="rules"><h2 id="rules">Rules</h2><p class="dim">{escape(note)}</p>
{shown}{rest if others else ""}</section>"""


def _rule(asked: Asked, fired: Sequence[str]) -> str:
    if asked.hit is not None:
        says, kind = "fired", "bad-text" if asked.hit.severity != "info" else "wait-text"
    elif asked.rule.code in fired:
        says, kind = "fired then, not now", "wait-text"
    else:
        says, kind = "did not fire", ""
    saw = "; ".join(f"{name}: {value}" for name, value in asked.saw.items()) if asked.hit is not None else ""
    seen = f'<span class="dim saw">{escape(saw)}</span>' if saw else ""
    return row(
        row_head(escape(asked.rule.code)),
        cell(says, f"{kind} says"),
        cell(escape(rule_in_words(asked.rule.sentence())) + seen),
    )


def _rules_by_code(lead: LeadShown) -> tuple[list[str], list[str]]:
    """Those that fired, and the others; of a job that came to no verdict none."""
    codes = lead.job.disqualified_by
    gone = "no rule of that code is in force any more"
    fired = [_by_code(code, "fired", lead.rules.get(code, gone)) for code in codes]
    if not codes and lead.job.state != JobState.SUCCEEDED:
        return [], []
    return fired, [_by_code(code, "did not fire", said) for code, said in lead.rules.items() if code not in codes]


def _by_code(code: str, says: str, sentence: str) -> str:
    kind = "bad-text" if says == "fired" else ""
    return row(row_head(escape(code)), cell(says, f"{kind} says"), cell(escape(rule_in_words(sentence))))


def _payload(payload: str, visitor: Session) -> str:
    if not payload:
        return ""
    name = "As it came in" if visitor.role == "admin" else "As it came in, without personal data"
    return f"""<section aria-labelledby="payload"><h2 id="payload">Payload</h2>
{folded(name, f"<pre>{escape(payload)}</pre>")}</section>"""


def _others(job: JobShown) -> str:
    """Fetched when the page stands: the list looks at many jobs."""
    if not job.contact_id:
        return ""
    told = {"contact": job.contact_id, "location": job.location_id}
    at = escape(f"/jobs?{urlencode({name: value for name, value in told.items() if value})}")
    return f"""<section aria-labelledby="others"><h2 id="others">Jobs of this contact</h2>
<div class="others" hx-get="{at}" hx-trigger="load" hx-select="#found" hx-swap="innerHTML">
<p><a href="{at}">All jobs of this contact</a></p></div></section>"""


def payload_of(job: JobShown) -> Iterator[tuple[str, object]]:
    """The members of the lead that were told."""
    if job.lead is not None:
        yield from msgspec.to_builtins(job.lead).items()
