"""The list of jobs: found by a filter, or the newest."""

from __future__ import annotations

from html import escape
from typing import Final
from urllib.parse import urlencode

from leadenrich.core.job import JobState
from leadenrich.store.views import JobQuery
from leadenrich.web.access import Session
from leadenrich.web.frame import cell, framed, moment, row, row_head, state_of, table
from leadenrich.web.shown import JobShown, JobsShown

_STATES: Final = tuple(JobState)


def jobs_page(jobs: JobsShown, query: JobQuery, visitor: Session) -> str:
    name = "Jobs found" if filter_of(query) else "Newest jobs"
    content = f"""<section aria-labelledby="jobs"><h2 id="jobs">{name}</h2>
{_search(query)}
{_jobs(jobs, query)}</section>"""
    return framed("Jobs", "Jobs", content, visitor, here="/jobs")


def filter_of(query: JobQuery) -> dict[str, str]:
    """The members of a query that choose; as they stand in the address."""
    told = {"q": query.q, "state": query.state, "lane": query.lane, "reason": query.reason, "outcome": query.outcome}
    told |= {"contact": query.contact, "location": query.location}
    return {name: str(value) for name, value in told.items() if value}


def _search(query: JobQuery) -> str:
    choices = "".join(
        f'<option value="{state}"{" selected" if query.state == state else ""}>{state}</option>' for state in _STATES
    )
    clear = '<a href="/jobs">Show all</a>' if filter_of(query) else ""
    return f"""<form method="get" action="/jobs" class="search">
<p><label for="q">Name, address, phone, e-mail or id</label>
<input id="q" name="q" type="search" value="{escape(query.q or "")}"></p>
<p><label for="state">State</label><select id="state" name="state"><option value="">any</option>{choices}</select></p>
<p><button>Find</button> {clear}</p>
</form>"""


def _jobs(jobs: JobsShown, query: JobQuery) -> str:
    rows = "".join(_job(job) for job in jobs.jobs)
    further = ""
    if jobs.next_cursor:
        address = urlencode(filter_of(query) | {"cursor": jobs.next_cursor})
        further = f'<p><a href="/jobs?{escape(address)}" rel="next">Further jobs</a></p>'
    if not rows:
        none = "No job fits." if filter_of(query) else "No job yet. The first webhook makes one."
        return f'<p class="dim">{none}</p>{further}'
    return table("Jobs", ("Lead", "State", "Outcome", "Lane", "Came in (UTC)"), rows, "jobs") + further


def _job(job: JobShown) -> str:
    where = f'<span class="dim">{escape(job.address)}</span>' if job.address else ""
    return row(
        row_head(f'<a href="/jobs/{escape(job.id)}">{escape(job.title or job.id)}</a>{where}'),
        cell(state_of(job.state)),
        cell(escape(job.outcome or job.reason or "")),
        cell(escape(job.lane), "lane"),
        cell(moment(job.created_at)),
    )
