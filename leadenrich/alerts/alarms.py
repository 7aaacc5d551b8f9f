"""What is wrong enough to tell somebody: from one look at the queue to sentences that say what to do.

No sentence holds what others wrote: no vendor's words, no person's data; kinds, names of providers and counts only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from leadenrich.config import AlertSettings
from leadenrich.core.job import Reason
from leadenrich.core.times import iso, span
from leadenrich.store.switches import Pause, PauseKind

BRIEF_MS: Final = 600_000  # a rate limit that ends within ten minutes needs nobody

_PAUSED: Final[Mapping[PauseKind, tuple[str, str]]] = {
    "throttle": ("its limit is used up", "Do: nothing, it goes on by itself; lower the rate if this comes often."),
    "budget": ("the day's budget is spent", "Do: wait, or raise realestateapi.daily_credits, reload, and resume it."),
    "outage": ("different leads failed in a row", "Do: see its status page; a lead tries again every 30 s."),
    "certificate": ("its certificate is not valid", "Do: check this machine's clock and its CA certificates."),
    "auth": (
        "its key or token was refused",
        "Do: put in a valid one and reload or restart; it goes on by itself then.",
    ),
    "credit": ("the account has no credit", "Do: top it up, then `leadenrich providers resume {name}`."),
    "operator": (
        "somebody paused it, or its records changed their shape",
        "Do: `leadenrich providers list` tells which; `leadenrich providers resume {name}` goes on.",
    ),
}


@dataclass(frozen=True, slots=True)
class Situation:
    """What one look at the queue found. `ended`: how the last leads ended, the newest first; None succeeded."""

    pauses: Mapping[str, Pause]
    oldest_live_wait_s: float = 0.0
    ended: Sequence[Reason | None] = ()
    credits_used: int = 0
    credits_limit: int = 0  # 0: none


def alarms(found: Situation, settings: AlertSettings, *, now_ms: int) -> dict[str, str]:
    """What is wrong now, by a name that stays the same while it lasts: `paused:realestateapi`, `budget:80`."""
    kinds: tuple[Callable[[Situation, AlertSettings, int], Iterator[tuple[str, str]]], ...] = (
        _paused,
        _waiting,
        _failing,
        _spent,
    )
    return dict(alarm for kind in kinds for alarm in kind(found, settings, now_ms))


def relief(name: str) -> str:
    """The sentence that says that an alarm of this name is over."""
    kind, _, about = name.partition(":")
    told = {
        "paused": f"{about} is called again.",
        "oldest_live_wait": "No live lead waits too long any more.",
        "failed_share": "Fewer leads fail again.",
        "budget": "The day's budget has room again.",
    }
    return told.get(kind, f"{name} is over.")


def _paused(found: Situation, settings: AlertSettings, now_ms: int) -> Iterator[tuple[str, str]]:
    for name, pause in found.pauses.items():
        is_over = 0 < pause.until_ms <= now_ms
        is_brief = pause.kind == "throttle" and pause.until_ms - now_ms <= BRIEF_MS
        is_told_below = pause.kind == "budget" and 1.0 in settings.budget
        if not name or is_over or is_brief or is_told_below:
            continue
        why, todo = _PAUSED[pause.kind]
        until = f" until {iso(pause.until_ms)}" if pause.until_ms else ""
        told = f"{name} is paused{until}: {why}. Leads wait and lose no try. {todo.format(name=name)}"
        yield f"paused:{name}", told


def _waiting(found: Situation, settings: AlertSettings, now_ms: int) -> Iterator[tuple[str, str]]:
    if 0 < settings.oldest_live_wait < found.oldest_live_wait_s:
        told = (
            f"The oldest live lead has waited {span(found.oldest_live_wait_s)}, longer than "
            f"{span(settings.oldest_live_wait)}. Do: `leadenrich queue status` and `leadenrich providers list` tell "
            "whether something is paused; else see whether a worker runs, and whether worker.concurrency and "
            "worker.rate_per_second are too low."
        )
        yield "oldest_live_wait", told


def _failing(found: Situation, settings: AlertSettings, now_ms: int) -> Iterator[tuple[str, str]]:
    ended = [reason for reason in found.ended if reason is not Reason.CANCELLED]  # a person's will
    failed = Counter(reason.value for reason in ended if reason is not None)
    many = failed.total()
    if settings.failed_share and len(ended) >= settings.failed_minimum and many > settings.failed_share * len(ended):
        reasons = ", ".join(f"{reason} {count}" for reason, count in failed.most_common(3))
        told = (
            f"{many} of the last {len(ended)} leads ended in FAILED_FINAL ({reasons}). Do: `leadenrich jobs list "
            "--state FAILED_FINAL` shows them; what to do for each reason stands in the README, and "
            "`leadenrich jobs retry` runs them again."
        )
        yield "failed_share", told


def _spent(found: Situation, settings: AlertSettings, now_ms: int) -> Iterator[tuple[str, str]]:
    for share in settings.budget:
        if found.credits_limit and found.credits_used >= share * found.credits_limit:
            told = (
                f"{found.credits_used} of the day's {found.credits_limit} credits are used. When all are, leads wait "
                "until 00:00 UTC. Do: nothing, if that is meant so; else raise realestateapi.daily_credits and reload."
            )
            yield f"budget:{share * 100:g}", told
