"""What needs somebody's attention, in plain sentences, each with what to do. Plain text, not yet escaped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlencode

from leadenrich.core.job import JobState
from leadenrich.core.times import iso
from leadenrich.store.job_list import Failures
from leadenrich.store.switches import Pause, PauseKind
from leadenrich.telemetry.health import HealthReport
from leadenrich.web.shown import StatsShown
from leadenrich.web.story import age, paused

WAITED_TOO_LONG_S: Final = 300.0
_NEARLY: Final = 0.8  # of the day's budget

# By the kind of pause: what it means for leads, and what ends it.
_PAUSES: Final[Mapping[PauseKind, str]] = {
    "throttle": "Its limit is used up. Leads wait and go on by themselves.",
    "outage": "Different leads failed in a row. One lead tries it again every 30 s; nothing to do unless it lasts.",
    "budget": "Today's budget is spent. Leads go on at midnight UTC, or raise realestateapi.daily_credits, reload "
    "and resume it.",
    "certificate": "Its certificate is not valid. Check this machine's clock and its certificates.",
    "auth": "Its key or token was refused. Put a valid one into the configuration and reload; leads then go on by "
    "themselves.",
    "credit": "The account has no credit. Top it up, then resume it below.",
    "operator": "Leads wait and lose no try. Resume it below when that is settled.",
}


@dataclass(frozen=True, slots=True)
class Notice:
    """`bad` needs a person; `wait` passes, or is only worth knowing. `link` is a path of ours."""

    kind: Literal["bad", "wait"]
    said: str
    link: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """Leads that ended in FAILED_FINAL without an outcome, cancelled by nobody, since a time (epoch seconds)."""

    count: int
    since_s: int


def notices(
    stats: StatsShown, pauses: Mapping[str, Pause], health: HealthReport, *, failed: Failed, budget: int
) -> list[Notice]:
    """`pauses` by a provider's name, or "" for the queue. `budget`: the day's, in credits; 0 is none."""
    told = [*_trouble(health), *(_pause(name, pauses[name]) for name in sorted(pauses))]
    told += [] if told else _waiting(stats)
    return [*told, *_spent(stats, budget), *_failures(failed), *_notes(stats, health)]


def _trouble(health: HealthReport) -> Iterator[Notice]:
    if not health.ready:
        yield Notice("bad", f"This daemon is not ready: {health.trouble}. Its log tells more.")


def _pause(name: str, pause: Pause) -> Notice:
    said = paused(name, pause)
    if not name:
        return Notice("bad", f"T{said[1:]}. No daemon takes a lead; new ones wait. Resume it below.")
    return Notice("wait" if pause.kind == "throttle" else "bad", f"{said}. {_PAUSES[pause.kind]}")


def _waiting(stats: StatsShown) -> Iterator[Notice]:
    waited_s = stats.oldest_waiting_seconds or 0.0
    if waited_s > WAITED_TOO_LONG_S:
        yield Notice(
            "bad",
            f"The oldest lead has waited {age(waited_s)} and nothing is paused. See that a daemon with a worker half "
            "runs, and whether worker.concurrency and worker.rate_per_second are high enough.",
            "/jobs?state=QUEUED",
        )


def _spent(stats: StatsShown, budget: int) -> Iterator[Notice]:
    provider = stats.providers.get("realestateapi")
    used = provider.credits_today if provider and provider.credits_today else 0
    if budget and used >= budget * _NEARLY:
        yield Notice(
            "bad" if used >= budget else "wait",
            f"{used:,} of today's {budget:,} credits are used. When all are, leads wait until midnight UTC. To go on, "
            "raise realestateapi.daily_credits and reload.",
        )


def _failures(failed: Failed) -> Iterator[Notice]:
    if failed.count:
        leads = "1 lead" if failed.count == 1 else f"{failed.count:,} leads"
        since = iso(failed.since_s * 1000)
        those = {"state": JobState.FAILED_FINAL, "failure": Failures.UNEXPECTED, "ended_since": since}
        yield Notice(
            "wait",
            f"{leads} failed within a day, those that ran again since included. See why, and run the others again once "
            "the cause is gone.",
            f"/jobs?{urlencode(those)}",
        )


def _notes(stats: StatsShown, health: HealthReport) -> Iterator[Notice]:
    for part, note in health.notes.items():
        if part != "queue" and part not in stats.providers:
            yield Notice("wait", f"{part}: {note}.")
