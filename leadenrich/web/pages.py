"""The pages besides the job's own: log-in, trouble, and the overview. `escape` stands around every value."""

from __future__ import annotations

from html import escape
from typing import Final
from urllib.parse import urlencode

from leadenrich.core.job import JobState, Lane, Outcome
from leadenrich.store.views import JobQuery
from leadenrich.telemetry.health import HealthReport
from leadenrich.web.frame import cell, framed, moment, page, row, row_head, state_of, table
from leadenrich.web.shown import JobShown, JobsShown, ProviderShown, StatsShown
from leadenrich.web.story import age, clock

_STATES: Final = tuple(JobState)


def login_page(message: str = "", then: str = "") -> str:
    """`then` is the path to go to afterwards."""
    said = f'<p class="bad" role="alert">{escape(message)}</p>' if message else ""
    goal = f'<input type="hidden" name="then" value="{escape(then)}">' if then else ""
    return page(
        "Log in",
        f"""<main class="narrow"><h1>leadenrich</h1>{said}
<form method="post" action="/login">{goal}
<label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<button>Log in</button>
</form>
<p class="dim">server.admin_token, or server.viewer_token to look without touching.</p></main>""",
    )


def trouble_page(message: str) -> str:
    back = '<p><a href="/">Overview</a></p>'
    return page("Trouble", f'<main class="narrow"><h1>leadenrich</h1><p class="bad">{escape(message)}</p>{back}</main>')


def overview_page(stats: StatsShown, jobs: JobsShown, query: JobQuery, health: HealthReport, csrf: str | None) -> str:
    content = f"""{_notices(stats, health)}
<div class="beside">
<section aria-labelledby="queue"><h2 id="queue">Queue</h2>{_queue(stats)}</section>
<section aria-labelledby="providers"><h2 id="providers">Providers</h2>{_providers(stats)}</section>
</div>
<section aria-labelledby="jobs"><h2 id="jobs">{"Jobs found" if filter_of(query) else "Newest jobs"}</h2>
{_search(query)}
{_jobs(jobs, query)}</section>"""
    return framed("Overview", "Overview", content, csrf)


def filter_of(query: JobQuery) -> dict[str, str]:
    """The members of a query that choose; as they stand in the address."""
    told = {"q": query.q, "state": query.state, "lane": query.lane}
    told |= {"contact": query.contact, "location": query.location}
    return {name: str(value) for name, value in told.items() if value}


def _notices(stats: StatsShown, health: HealthReport) -> str:
    told = [health.trouble] if not health.ready else []
    told += [f"The queue is paused: {stats.paused}"] if stats.paused else []
    told += [f"{part}: {note}" for part, note in health.notes.items()]
    told += [
        f"{name} is {_paused(provider)}"
        for name, provider in stats.providers.items()
        if provider.paused and name not in health.notes
    ]
    return "".join(f'<p class="bad">{escape(line)}</p>' for line in told)


def _paused(provider: ProviderShown) -> str:
    return f"paused: {provider.paused}" + (f", until {clock(provider.until)}" if provider.until else "")


def _queue(stats: StatsShown) -> str:
    """States down, lanes across: three columns fit on any screen."""
    rows = "".join(
        row(
            row_head(f'<a href="/?state={state}">{state_of(state)}</a>'),
            *(cell(_count(stats, lane, state), "number") for lane in Lane),
        )
        for state in _STATES
    )
    outcomes = [f"{name} {stats.totals[f'outcome:{name}']:,}" for name in Outcome if f"outcome:{name}" in stats.totals]
    ended = f"<p>Outcomes so far: {escape(', '.join(outcomes))}.</p>" if outcomes else ""
    return f"""{table("Jobs by state and lane", ("State", *Lane), rows)}
<p>Oldest waiting: <strong>{escape(age(stats.oldest_waiting_seconds))}</strong>. Ended in the last minute:
<strong>{stats.rates.get("finished_per_minute", 0):,.0f}</strong>.</p>{ended}"""


def _count(stats: StatsShown, lane: Lane, state: JobState) -> str:
    count = stats.lanes.get(lane, {}).get(state, 0)
    return f'<a href="/?state={state}&amp;lane={lane}">{count:,}</a>' if count else "0"


def _providers(stats: StatsShown) -> str:
    rows = "".join(
        row(
            row_head(escape(name).replace(":", ":<wbr>")),
            cell(
                escape(_paused(provider)) if provider.paused else "takes calls", "bad-text" if provider.paused else ""
            ),
            cell("–" if provider.credits_today is None else f"{provider.credits_today:,}", "number"),
        )
        for name, provider in stats.providers.items()
    )
    unknown = stats.totals.get("unknown_purchases", 0)
    lost = f'<p class="dim">{unknown:,} look-ups cut off by a crash, charged or not.</p>' if unknown else ""
    return table("Providers", ("Provider", "State", "Credits today"), rows) + lost


def _search(query: JobQuery) -> str:
    choices = "".join(
        f'<option value="{state}"{" selected" if query.state == state else ""}>{state}</option>' for state in _STATES
    )
    clear = '<a href="/">Show all</a>' if filter_of(query) else ""
    return f"""<form method="get" action="/" role="search" class="search">
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
        further = f'<p><a href="/?{escape(address)}" rel="next">Further jobs</a></p>'
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
