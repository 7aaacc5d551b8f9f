"""The HTML: every value that is put in goes through `escape`; no script, no inline style."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Final

import msgspec

from leadenrich.core.job import JobState, Lane
from leadenrich.telemetry.health import HealthReport

_STATES: Final = tuple(JobState)


class ProviderShown(msgspec.Struct):
    paused: str | None = None
    until: str | None = None


class StatsShown(msgspec.Struct):
    """The part of `/api/v1/stats` that the page shows."""

    lanes: dict[str, dict[str, int]] = {}
    oldest_waiting_seconds: float | None = None
    providers: dict[str, ProviderShown] = {}
    paused: str | None = None


class JobShown(msgspec.Struct):
    id: str
    state: str
    lane: str = ""
    contact_id: str = ""
    created_at: str | None = None
    outcome: str | None = None
    reason: str | None = None


class JobsShown(msgspec.Struct):
    jobs: list[JobShown] = []


def login_page(message: str = "") -> str:
    said = f'<p class="bad" role="alert">{escape(message)}</p>' if message else ""
    return _page(
        "Log in",
        f"""<main class="narrow"><h1>leadenrich</h1>{said}
<form method="post" action="/login">
<label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<button>Log in</button>
</form>
<p class="dim">server.admin_token, or server.viewer_token to look without touching.</p></main>""",
    )


def trouble_page(message: str) -> str:
    return _page("Trouble", f'<main class="narrow"><h1>leadenrich</h1><p class="bad">{escape(message)}</p></main>')


def overview_page(stats: StatsShown, jobs: JobsShown, health: HealthReport, csrf: str | None) -> str:
    """`csrf` is the session's; None without a log-in, where there is nothing to log out of."""
    return _page(
        "Overview",
        f"""<header><h1>leadenrich</h1>{_logout(csrf)}</header>
<main>
{_notices(stats, health)}
<section><h2>Queue</h2>{_queue_table(stats)}
<p>Oldest waiting: <strong>{escape(_age(stats.oldest_waiting_seconds))}</strong></p></section>
<section><h2>Newest jobs</h2>{_jobs_table(jobs.jobs)}</section>
</main>""",
    )


def _page(title: str, body: str) -> str:
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)} · leadenrich</title>
<link rel="stylesheet" href="/static/style.css">
</head>
<body>
{body}
</body>
</html>
"""


def _logout(csrf: str | None) -> str:
    if csrf is None:
        return ""
    hidden = f'<input type="hidden" name="csrf" value="{escape(csrf)}">'
    return f'<form method="post" action="/logout">{hidden}<button class="quiet">Log out</button></form>'


def _notices(stats: StatsShown, health: HealthReport) -> str:
    told = [health.trouble] if not health.ready else []
    told += [f"The queue is paused: {stats.paused}"] if stats.paused else []
    told += [f"{part}: {note}" for part, note in health.notes.items()]
    told += [
        f"{name} is paused: {provider.paused}" + (f" until {provider.until}" if provider.until else "")
        for name, provider in stats.providers.items()
        if provider.paused and name not in health.notes
    ]
    return "".join(f'<p class="bad" role="status">{escape(line)}</p>' for line in told)


def _queue_table(stats: StatsShown) -> str:
    head = "".join(f'<th scope="col">{escape(state)}</th>' for state in _STATES)
    rows = "".join(
        f'<tr><th scope="row">{escape(lane)}</th>'
        + "".join(f'<td class="number">{stats.lanes.get(lane, {}).get(state, 0):,}</td>' for state in _STATES)
        + "</tr>"
        for lane in Lane
    )
    return _table(f'<th scope="col">Lane</th>{head}', rows)


def _jobs_table(jobs: Iterable[JobShown]) -> str:
    rows = "".join(
        f'<tr><td><a href="/api/v1/jobs/{escape(job.id)}">{escape(job.id)}</a></td>'
        f'<td class="state {escape(job.state.lower())}">{escape(job.state)}</td>'
        f"<td>{escape(job.outcome or job.reason or '')}</td><td>{escape(job.lane)}</td>"
        f"<td>{escape(job.contact_id)}</td><td>{_time(job.created_at)}</td></tr>"
        for job in jobs
    )
    if not rows:
        return '<p class="dim">No job yet. The first webhook makes one.</p>'
    head = "".join(
        f'<th scope="col">{name}</th>' for name in ("Job", "State", "Outcome", "Lane", "Contact", "Came in (UTC)")
    )
    return _table(head, rows)


def _table(head: str, rows: str) -> str:
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _time(moment: str | None) -> str:
    """ISO 8601 to the second, for people; the exact value for programs."""
    if not moment:
        return ""
    return f'<time datetime="{escape(moment)}">{escape(moment[:19].replace("T", " "))}</time>'


def _age(seconds: float | None) -> str:
    if seconds is None:
        return "nothing waits"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
