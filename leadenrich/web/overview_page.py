"""The overview: what needs attention, what waits, how fast leads go, what ended, how the vendors are, what was spent.

An operator pauses and resumes here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from html import escape
from typing import Final
from urllib.parse import quote

from leadenrich.core.job import JobState, Lane
from leadenrich.core.times import iso
from leadenrich.store.history import FAILED, Chart, Period, Speed
from leadenrich.store.switches import Pause
from leadenrich.telemetry.health import HealthReport
from leadenrich.web.access import Session
from leadenrich.web.attention import Failed, Notice, notices
from leadenrich.web.frame import act_form, cell, framed, refreshing, row, row_head, state_of, table
from leadenrich.web.shown import ProviderShown, StatsShown
from leadenrich.web.story import age, clock

_WAITS: Final = (JobState.QUEUED, JobState.RETRY_SCHEDULED)
_PAST: Final = {Period.HOUR: "the last hour", Period.DAY: "the last 24 hours", Period.WEEK: "the last week"}


@dataclass(frozen=True, slots=True)
class Figures:
    """What is shown. `pauses` by a provider's name, or "" for the queue; `calls` are calls a second by kind of vendor;
    `budget` is the day's, in credits; 0 is none."""

    stats: StatsShown
    pauses: dict[str, Pause]
    health: HealthReport
    chart: Chart
    speed: Speed | None
    calls: dict[str, float]
    failed: Failed
    budget: int


def overview_page(figures: Figures, visitor: Session) -> str:
    period = figures.chart.period
    content = f"""{_attention(figures)}
{_tiles(figures)}
<section aria-labelledby="ended"><h2 id="ended">What ended in {_PAST[period]}</h2>{_ended(figures.chart)}</section>
<div class="beside">
<section aria-labelledby="queue"><h2 id="queue">Queue</h2>{_queue(figures.stats, visitor)}</section>
<section aria-labelledby="providers"><h2 id="providers">Providers</h2>{_providers(figures, visitor)}</section>
</div>"""
    path = "/" if period is Period.HOUR else f"/?period={period}"
    return framed("Overview", "Overview", refreshing(content, path), visitor, here="/", live="/live")


def _attention(figures: Figures) -> str:
    told = notices(figures.stats, figures.pauses, figures.health, failed=figures.failed, budget=figures.budget)
    if not told:
        return '<p class="good">All is well: nothing needs you.</p>'
    return "".join(_notice(notice) for notice in told)


def _notice(notice: Notice) -> str:
    link = f' <a href="{escape(notice.link)}">Show them</a>' if notice.link else ""
    return f'<p class="{notice.kind}">{escape(notice.said)}{link}</p>'


def _tiles(figures: Figures) -> str:
    stats, period = figures.stats, figures.chart.period
    waiting = sum(stats.lanes.get(lane, {}).get(state, 0) for lane in Lane for state in _WAITS)
    at_work = sum(stats.lanes.get(lane, {}).get(JobState.PROCESSING, 0) for lane in Lane)
    speed = figures.speed
    took = (
        f"or less for half, {_brief(speed.p95_s)} for 95 % of {speed.leads:,} live leads" if speed else "no live lead"
    )
    oldest = stats.oldest_waiting_seconds
    waits = "nothing" if not waiting else "for a next try" if oldest is None else f"the oldest for {age(oldest)}"
    tiles = (
        ("Waiting", f"{waiting:,}", waits),
        ("At work", f"{at_work:,}", "right now"),
        ("Ended", f"{stats.rates.get('finished_per_minute', 0):,.0f}", "in the last minute"),
        ("From webhook to contact", _brief(speed.p50_s) if speed else "–", f"{took} in {_PAST[period]}"),
        ("Credits today", *_credits(figures)),
    )
    return f'<dl class="tiles">{"".join(_tile(*tile) for tile in tiles)}</dl>'


def _brief(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else age(seconds)


def _tile(name: str, figure: str, about: str) -> str:
    return f"<div><dt>{escape(name)}</dt><dd><strong>{escape(figure)}</strong> <span>{escape(about)}</span></dd></div>"


def _credits(figures: Figures) -> tuple[str, str]:
    provider = figures.stats.providers.get("realestateapi", ProviderShown())
    used = provider.credits_today or 0
    if not figures.budget:
        return f"{used:,}", "no budget is set (realestateapi.daily_credits)"
    return f"{used:,}", f"of {figures.budget:,}: {used / figures.budget:.0%} of the budget"


def _ended(chart: Chart) -> str:
    choices = "".join(_choice(period, chart.period) for period in Period)
    totals = {name: chart.total(name) for name in chart.series}
    ended = sum(totals.values())
    legend = "".join(
        f'<li class="{escape(name.lower())}">{escape(name)} <strong>{count:,}</strong></li>'
        for name, count in totals.items()
    )
    drawn = json.dumps({"step": chart.step_s, "starts": chart.starts, "series": chart.series}, separators=(",", ":"))
    begins = chart.since_s
    since = f"Counted since {clock(iso(begins * 1000))}. " if begins and begins > chart.starts[0] else ""
    since = since or ("" if begins else "Counting begins with the first minute of a worker. ")
    return f"""<nav aria-label="Period" class="period"><ul>{choices}</ul></nav>
<div id="plot" class="plot" role="img" aria-label="Leads that ended, by outcome; {ended:,} in {_PAST[chart.period]}"
 data-chart="{escape(drawn)}" hx-morph-skip-children></div>
<ul class="legend">{legend}</ul>
<p class="dim">{escape(since)}A bar is {escape(age(chart.step_s))}; times are UTC. {FAILED}: without an outcome.</p>"""


def _choice(period: Period, shown: Period) -> str:
    current = ' aria-current="true"' if period is shown else ""
    return f'<li><a href="/?period={period}"{current}>{_PAST[period]}</a></li>'


def _queue(stats: StatsShown, visitor: Session) -> str:
    """States down, lanes across: three columns fit on any screen."""
    rows = "".join(
        row(
            row_head(f'<a href="/jobs?state={state}">{state_of(state)}</a>'),
            *(cell(_count(stats, lane, state), "number") for lane in Lane),
        )
        for state in JobState
    )
    return table("Jobs by state and lane", ("State", *Lane), rows) + _switch(
        visitor, "the queue", "/queue", stats.paused
    )


def _count(stats: StatsShown, lane: Lane, state: JobState) -> str:
    count = stats.lanes.get(lane, {}).get(state, 0)
    return f'<a href="/jobs?state={state}&amp;lane={lane}">{count:,}</a>' if count else "0"


def _providers(figures: Figures, visitor: Session) -> str:
    cards = "".join(_provider(name, provider, figures, visitor) for name, provider in figures.stats.providers.items())
    unknown = figures.stats.totals.get("unknown_purchases", 0)
    lost = f'<p class="dim">{unknown:,} look-ups were cut off by a crash, charged or not.</p>' if unknown else ""
    return f'<ul class="providers">{cards}</ul>{lost}'


def _provider(name: str, provider: ProviderShown, figures: Figures, visitor: Session) -> str:
    state, kind = ("paused", "bad-text") if provider.paused is not None else ("takes calls", "good-text")
    shared = ", all locations together" if name.startswith("ghl:") and len(figures.stats.providers) > 2 else ""
    used = figures.calls.get(name.partition(":")[0])
    limit = f"{provider.rate:g} a second are allowed" if provider.rate else "no limit is set"
    rate = f"{used:.1f} calls a second in the last minute{shared}; {limit}" if used is not None else limit
    return f"""<li><h3>{escape(name).replace(":", ":<wbr>")}</h3>
<p><strong class="{kind}">{state}</strong> <span class="dim">{escape(rate)}</span></p>
{_switch(visitor, name, f"/providers/{quote(name, safe='')}", provider.paused)}</li>"""


def _switch(visitor: Session, name: str, path: str, paused: str | None) -> str:
    """What pauses it, for a reason, or lets it go on."""
    if paused is not None:
        return act_form(visitor, f"{path}/resume", f"Resume {name}")
    why = f"""<label class="unseen" for="why{escape(path)}">Why pause {escape(name)}?</label>
<input id="why{escape(path)}" name="reason" maxlength="300" placeholder="Why? Everybody sees it">"""
    form = act_form(visitor, f"{path}/pause", f"Pause {name}", inside=why, kind="quiet")
    return f"<details><summary>Pause {escape(name)} …</summary>{form}</details>" if form else ""
