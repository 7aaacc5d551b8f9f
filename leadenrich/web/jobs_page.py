"""The list of jobs, and the question before something is done to many of them."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final, Literal, TypeAlias
from urllib.parse import urlencode

from leadenrich.core.job import JobState
from leadenrich.store.interventions import Tally
from leadenrich.store.views import JobQuery
from leadenrich.web.access import Session
from leadenrich.web.frame import act_form, cell, framed, moment, refreshing, row, row_head, state_of, table
from leadenrich.web.job_choice import filter_form, filter_of, hidden, in_words
from leadenrich.web.job_page import WAITING
from leadenrich.web.shown import JobShown, JobsShown

Verb: TypeAlias = Literal["retry", "cancel"]
VERBS: Final[dict[Verb, str]] = {"retry": "Run again", "cancel": "Cancel"}
# Which states a verb can do something to; None is the list of all states.
_FITS: Final[dict[Verb, tuple[str | None, ...]]] = {
    "retry": (None, JobState.FAILED_FINAL),
    "cancel": (None, *WAITING),
}
_DOES: Final[dict[Verb, str]] = {
    "retry": "They run again from their last good step, with all their tries. What was bought is not bought again.",
    "cancel": "They end as failed, cancelled by you. What is being worked on is left alone.",
}
_WHICH: Final[dict[Verb, str]] = {"retry": "failed", "cancel": "waiting"}


def jobs_page(jobs: JobsShown, query: JobQuery, visitor: Session) -> str:
    chosen = filter_of(query)
    name = "Jobs found" if chosen else "Newest jobs"
    here = f"/jobs?{urlencode(chosen | ({'cursor': query.cursor} if query.cursor else {}))}".rstrip("?")
    content = f"""<section aria-labelledby="jobs"><h2 id="jobs">{name}</h2>
{filter_form(query)}
{refreshing(_found(jobs, query, visitor), here)}</section>"""
    return framed("Jobs", "Jobs", content, visitor, here="/jobs", live="/live")


def _found(jobs: JobsShown, query: JobQuery, visitor: Session) -> str:
    chosen = filter_of(query)
    picks = visitor.may_act and bool(jobs.jobs)
    further = ""
    if jobs.next_cursor:
        at = urlencode(chosen | {"cursor": jobs.next_cursor})
        further = f'<p><a href="/jobs?{escape(at)}" rel="next">Further jobs</a></p>'
    found = f'<div id="found">{_jobs(jobs, query, picks)}</div>'
    if picks:
        found = f'<form method="get" action="/jobs/confirm" class="picks">{found}{_choose(query)}</form>'
    return f"""{found}{further}{_all_of_them(query, visitor) if jobs.jobs or jobs.next_cursor else ""}"""


def _jobs(jobs: JobsShown, query: JobQuery, picks: bool) -> str:
    rows = "".join(_job(job, picks) for job in jobs.jobs)
    if not rows:
        none = "No job fits." if filter_of(query) else "No job yet. The first webhook makes one."
        if jobs.next_cursor:
            none = "No job fits. Those further on were not looked at yet."
        return f'<p class="dim">{none}</p>'
    return table("Jobs", ("Lead", "State", "Outcome", "Lane", "Came in (UTC)"), rows, "jobs")


def _job(job: JobShown, picks: bool) -> str:
    where = f'<span class="dim">{escape(job.address)}</span>' if job.address else ""
    name = escape(job.title or job.id)
    pick = ""
    if picks and job.state in (JobState.FAILED_FINAL, *WAITING):
        pick = (
            f'<input type="checkbox" name="id" value="{escape(job.id)}" id="pick-{escape(job.id)}" '
            f'aria-label="Choose {name}"> '
        )
    return row(
        row_head(f'{pick}<a href="/jobs/{escape(job.id)}">{name}</a>{where}'),
        cell(state_of(job.state)),
        cell(escape(job.outcome or job.reason or "")),
        cell(escape(job.lane), "lane"),
        cell(moment(job.created_at)),
    )


def _choose(query: JobQuery) -> str:
    buttons = "".join(
        f'<button name="do" value="{verb}" class="quiet">{name} the chosen …</button>'
        for verb, name in VERBS.items()
        if query.state in _FITS[verb]
    )
    return f'<p class="acts">{buttons}</p>' if buttons else ""


def _all_of_them(query: JobQuery, visitor: Session) -> str:
    """What is done to all that fit, on this part of the list or not."""
    chosen = filter_of(query)
    links = [f'<a href="/jobs.csv?{escape(urlencode(chosen))}" download>All of these as CSV</a>'.replace('?"', '"')]
    if visitor.may_act:
        for verb, name in VERBS.items():
            if query.state in _FITS[verb] and query.outcome != "QUALIFIED":
                at = escape(urlencode({"do": verb, **chosen}))
                links.append(f'<a href="/jobs/confirm?{at}">{name} all that are {_WHICH[verb]} …</a>')
    return f'<p class="dim">{" · ".join(links)}</p>'


def confirm_page(
    verb: Verb,
    visitor: Session,
    tally: Tally,
    *,
    query: JobQuery | None = None,
    jobs: Sequence[JobShown] = (),
    cursor: str = "",
    so_far: str = "",
) -> str:
    """What will be done, to how many, as they were counted in `tally`: the chosen `jobs`, or all that fit `query`. With
    `cursor` it goes on behind what was done already, told in `so_far`."""
    count, more = tally.matched, tally.next_cursor is not None
    which = _WHICH[verb]
    members = {"do": verb} | ({"cursor": cursor} if cursor else {})
    if query is not None:
        told = in_words(query)
        what = f"all {which} jobs that fit: {told}" if told else f"all {which} jobs"
        inside = hidden(members | {"all": "1"} | filter_of(query))
        back = urlencode(filter_of(query))
        listed = ""
    else:
        what = f"the chosen {which} jobs"
        inside = hidden(members) + "".join(hidden({"id": job.id}) for job in jobs)
        back = ""
        rows = "".join(f"<li>{escape(job.title or job.id)} {state_of(job.state)}</li>" for job in jobs)
        listed = f"<ul>{rows}</ul>"
    number = f"more than {count:,}" if more else f"{count:,}"
    many = f"{number} job{'' if count == 1 and not more else 's'}"
    acts = act_form(
        visitor, "/jobs/act", f"{VERBS[verb]}: {many}", inside=inside, kind="danger" if verb == "cancel" else ""
    )
    done = f'<p class="good" role="status">{escape(so_far)}</p>' if so_far else ""
    content = f"""{done}<section aria-labelledby="what"><h2 id="what">{VERBS[verb]} {escape(what)}?</h2>
<p><strong>{many}</strong> {"fits" if count == 1 and not more else "fit"} now. {_DOES[verb]}</p>
{_consequences(tally)}{listed}
{acts if count or more else ""}
<p><a href="/jobs?{escape(back)}">Back without doing anything</a></p></section>"""
    return framed("Confirm", f"{VERBS[verb]} jobs", content, visitor, here="/jobs")


def _consequences(tally: Tally) -> str:
    """Why those failed that run again, or which failures are lost for what is cancelled; as HTML."""
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in tally.reasons.items())
    told = [f"They failed for: {reasons}."] if reasons else []
    if lost := tally.failures_removed:
        number = (
            f"{'At least ' if tally.next_cursor is not None else ''}{lost:,} older failure{'' if lost == 1 else 's'}"
        )
        told.append(
            f"{number} will be removed to make room (queue.keep_failed): look at those first, or run them again."
        )
    return "".join(f"<p>{escape(sentence)}</p>" for sentence in told)
