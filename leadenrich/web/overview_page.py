"""The overview: what waits, how the vendors are, what an operator can stop and start."""

from __future__ import annotations

from html import escape
from typing import Final
from urllib.parse import quote

from leadenrich.core.job import JobState, Lane, Outcome
from leadenrich.telemetry.health import HealthReport
from leadenrich.web.access import Session
from leadenrich.web.frame import act_form, cell, framed, refreshing, row, row_head, state_of, table
from leadenrich.web.shown import ProviderShown, StatsShown
from leadenrich.web.story import age, clock

_STATES: Final = tuple(JobState)


def overview_page(stats: StatsShown, health: HealthReport, visitor: Session) -> str:
    content = f"""{_notices(stats, health)}
<div class="beside">
<section aria-labelledby="queue"><h2 id="queue">Queue</h2>{_queue(stats, visitor)}</section>
<section aria-labelledby="providers"><h2 id="providers">Providers</h2>{_providers(stats, visitor)}</section>
</div>"""
    return framed("Overview", "Overview", refreshing(content, "/"), visitor, here="/", live="/live")


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


def _queue(stats: StatsShown, visitor: Session) -> str:
    """States down, lanes across: three columns fit on any screen."""
    rows = "".join(
        row(
            row_head(f'<a href="/jobs?state={state}">{state_of(state)}</a>'),
            *(cell(_count(stats, lane, state), "number") for lane in Lane),
        )
        for state in _STATES
    )
    outcomes = [f"{name} {stats.totals[f'outcome:{name}']:,}" for name in Outcome if f"outcome:{name}" in stats.totals]
    ended = f"<p>Outcomes so far: {escape(', '.join(outcomes))}.</p>" if outcomes else ""
    return f"""{table("Jobs by state and lane", ("State", *Lane), rows)}
<p>Oldest waiting: <strong>{escape(age(stats.oldest_waiting_seconds))}</strong>. Ended in the last minute:
<strong>{stats.rates.get("finished_per_minute", 0):,.0f}</strong>.</p>{ended}
{_switch(visitor, "/queue", stats.paused)}"""


def _count(stats: StatsShown, lane: Lane, state: JobState) -> str:
    count = stats.lanes.get(lane, {}).get(state, 0)
    return f'<a href="/jobs?state={state}&amp;lane={lane}">{count:,}</a>' if count else "0"


def _providers(stats: StatsShown, visitor: Session) -> str:
    rows = "".join(
        row(
            row_head(escape(name).replace(":", ":<wbr>")),
            cell(
                escape(_paused(provider)) if provider.paused else "takes calls", "bad-text" if provider.paused else ""
            ),
            cell("–" if provider.credits_today is None else f"{provider.credits_today:,}", "number"),
            cell(_switch(visitor, f"/providers/{quote(name, safe='')}", provider.paused)),
        )
        for name, provider in stats.providers.items()
    )
    unknown = stats.totals.get("unknown_purchases", 0)
    lost = f'<p class="dim">{unknown:,} look-ups cut off by a crash, charged or not.</p>' if unknown else ""
    return table("Providers", ("Provider", "State", "Credits today", "Act"), rows) + lost


def _switch(visitor: Session, path: str, paused: str | None) -> str:
    """What pauses it, or lets it go on."""
    if paused is not None:
        return act_form(visitor, f"{path}/resume", "Resume")
    return act_form(visitor, f"{path}/pause", "Pause", kind="quiet")
