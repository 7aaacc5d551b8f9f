"""The page of one job: a sentence, the facts, what happened, the steps. `escape` stands around every value."""

from __future__ import annotations

from html import escape
from typing import Final
from urllib.parse import quote

from leadenrich.core.job import JobState
from leadenrich.web.access import Session
from leadenrich.web.frame import cell, framed, moment, row, row_head, state_of, table
from leadenrich.web.shown import EntryShown, JobShown, StepShown
from leadenrich.web.story import headline, told, took

# Where HighLevel's own app shows a contact; agencies with a domain of their own are led on from there.
_CONTACT: Final = "https://app.gohighlevel.com/v2/location/{location}/contacts/detail/{contact}"


def job_page(job: JobShown, visitor: Session) -> str:
    steps = f"""<section aria-labelledby="steps"><h2 id="steps">Steps</h2>{_steps(job.steps)}</section>"""
    content = f"""<p class="headline {escape(job.state.lower())}">{escape(headline(job))}</p>
<section aria-labelledby="facts"><h2 id="facts">Facts</h2>{_facts(job)}</section>
<section aria-labelledby="timeline"><h2 id="timeline">What happened (UTC)</h2>
<ol class="timeline">{"".join(_entry(entry) for entry in job.timeline)}</ol></section>
{steps if job.steps else ""}
<p class="dim"><a href="/jobs">All jobs</a> · <a href="/api/v1/jobs/{escape(job.id)}">This job as JSON</a></p>"""
    return framed(job.title or job.id, escape(job.title or job.id), content, visitor, here="/jobs")


def _facts(job: JobShown) -> str:
    ended = job.state in (JobState.SUCCEEDED, JobState.FAILED_FINAL)
    facts = {
        "State": state_of(job.state),
        "Outcome": escape(job.outcome or ""),
        "Reason": escape(job.reason or ""),
        "Rules": escape(", ".join(job.disqualified_by)),
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
    at = _CONTACT.format(location=quote(job.location_id, safe=""), contact=quote(job.contact_id, safe=""))
    return f'<a href="{escape(at)}" rel="noreferrer">{escape(job.contact_id)}</a>'


def _entry(entry: EntryShown) -> str:
    said = escape(told(entry))
    return f"<li>{moment(entry.time)} <strong>{escape(entry.event)}</strong> <span>{said}</span>{_error(entry)}</li>"


def _error(entry: EntryShown) -> str:
    """Folded: most people want the sentence, and a stack is long."""
    if not (entry.error or entry.trace):
        return ""
    text = "\n\n".join(part for part in (entry.error, entry.trace) if part)
    name = "Error and stack" if entry.trace else "Error"
    return f"<details><summary>{name}</summary><pre>{escape(text)}</pre></details>"


def _steps(steps: list[StepShown]) -> str:
    rows = "".join(
        row(
            row_head(escape(step.name)),
            cell(moment(step.started_at, day=False)),
            cell(escape(took(step.started_at, step.ended_at)), "number"),
            cell(_paid(step)),
        )
        for step in steps
    )
    return table("Steps", ("Step", "Began", "Took", "Credits"), rows)


def _paid(step: StepShown) -> str:
    lost = f" (and {step.unknown} cut off, charged or not)" if step.unknown else ""
    return ("from the cache" if step.cached else f"{step.credits}") + lost
