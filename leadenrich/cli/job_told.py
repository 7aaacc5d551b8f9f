"""Jobs on a terminal: a table of many, the story of one. On a pipe the table is tab-separated, for grep and cut."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, TypeAlias

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from leadenrich.cli.terminal import console
from leadenrich.core.job import JobState
from leadenrich.store.job_view import AttemptView, JobView, StepView
from leadenrich.store.switches import Pause
from leadenrich.web.shown import EntryShown, JobShown, shown
from leadenrich.web.story import age, clock, headline, told, took

Clean: TypeAlias = Callable[[str], str]

STYLES: Final = {
    JobState.SUCCEEDED.value: "green", JobState.FAILED_FINAL.value: "yellow",
    JobState.PROCESSING.value: "cyan", JobState.RETRY_SCHEDULED.value: "magenta",
}  # fmt: skip
_WIDE: Final = 110  # columns of a terminal that shows address and tries too
_ROOMY: Final = 76  # below it the contact goes, which `jobs show` tells
_ADDRESS_SIGNS: Final = 28
_CONTACT_SIGNS: Final = 24  # HighLevel's own have 20


def print_jobs(jobs: Sequence[JobView], clean: Clean) -> None:
    """On a pipe: id, state, outcome, reason, contact, address, tries, age."""
    if not sys.stdout.isatty():
        for job in jobs:
            outcome, reason, address = job.outcome or "", job.reason or "", clean(shown(job, JobShown).address)
            print(job.id, job.state, outcome, reason, clean(job.contact_id), address, _tries(job), _age(job), sep="\t")
        return
    if not jobs:
        print("No job fits.")
        return
    out = console()
    roomy, wide = out.width >= _ROOMY, out.width >= _WIDE
    contact, more = (("contact",) if roomy else ()), (("address", "tries") if wide else ())
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("id", "state", "came to", *contact, *more, "age"):
        table.add_column(name, no_wrap=name != "came to")  # which gives the room that the others need
    for job in jobs:
        came_to = job.reason or job.outcome or ""  # who failed for want of a record or an address has both
        table.add_row(
            Text(job.id),
            Text(job.state, STYLES.get(job.state, "")),
            Text(came_to, no_wrap=True, overflow="ellipsis"),
            *((_short(clean(job.contact_id), _CONTACT_SIGNS),) if roomy else ()),
            *((_short(clean(shown(job, JobShown).address), _ADDRESS_SIGNS), _tries(job)) if wide else ()),
            _age(job),
        )
    out.print(table)


def _short(text: str, signs: int) -> Text:
    return Text(text if len(text) <= signs else f"{text[: signs - 1]}…")


def _tries(job: JobView) -> str:
    return f"{job.attempts_made}/{job.max_attempts}"


def _age(job: JobView) -> str:
    return age(max(0.0, (datetime.now(UTC) - datetime.fromisoformat(job.created_at)).total_seconds()))


def print_job(job: JobView, pauses: Mapping[str, Pause], clean: Clean) -> None:
    """A sentence first; then the facts, what happened, the runs, the steps and what they cost, the error."""
    out, seen = console(), shown(job, JobShown)
    out.print(Text(clean(headline(seen, pauses=pauses)), f"bold {STYLES.get(job.state, '')}".strip()))
    out.print(_facts(seen, clean))
    _section(out, "What happened (UTC)", _timeline(seen.timeline, clean))
    _section(out, "Runs", _runs(job.attempts, clean))
    _section(out, "Steps", _steps(job.steps))
    error = next((entry for entry in reversed(seen.timeline) if entry.error or entry.trace), None)
    if error is not None:
        # An end with an outcome, as `no such property`, is no fault of ours: --json has its stack too.
        lines = (error.error if job.outcome else f"{error.error}\n{error.trace}").rstrip().splitlines()
        _section(out, "Last error", Text("\n".join(_indented(line, clean) for line in lines)))


def _section(out: Console, name: str, content: Table | Text | None) -> None:
    if content is not None:
        out.print()
        out.print(Text(name, "bold"))
        out.print(Padding(content, (0, 0, 0, 2)))


def _indented(line: str, clean: Clean) -> str:
    return " " * (len(line) - len(line.lstrip())) + clean(line)


def _grid() -> Table:
    return Table.grid(padding=(0, 2))


def _facts(job: JobShown, clean: Clean) -> Table:
    ended = job.state in (JobState.SUCCEEDED, JobState.FAILED_FINAL)
    facts = {
        "job": job.id,
        "state": job.state,
        "outcome": job.outcome,
        "reason": job.reason,
        "rules": ", ".join(job.disqualified_by),
        "contact": clean(job.contact_id),
        "location": clean(job.location_id),
        "name": clean(job.title) if job.title != job.contact_id else "",
        "address": clean(job.address),
        "lane": job.lane,
        "tries": f"{job.attempts_made} of {job.max_attempts}",
        "stalls": str(job.stalled_count or ""),
        "came in": clock(job.created_at),
        "ended": clock(job.finished_at) if job.finished_at else "",
        "next try": clock(job.next_attempt_at) if job.next_attempt_at and not ended else "",
    }
    table = _grid()
    for name, value in facts.items():
        if value:
            table.add_row(Text(name, "dim"), Text(value))
    return table


def _timeline(entries: Sequence[EntryShown], clean: Clean) -> Table:
    table = _grid()
    for entry in entries:
        table.add_row(clock(entry.time).removesuffix(" UTC"), Text(entry.event), Text(clean(told(entry))))
    return table


def _runs(runs: Sequence[AttemptView], clean: Clean) -> Table | None:
    table = _grid()
    for run in runs:
        ended = f"{run.result} after {run.seconds:.1f} s" if run.result and run.seconds is not None else "runs"
        whose = f"{run.provider} {run.status or ''}".strip()
        table.add_row(
            f"try {run.number}",
            clock(run.started_at).removesuffix(" UTC"),
            ended,
            Text(whose),
            Text(f"by {clean(run.by)}"),
        )
    return table if runs else None


def _steps(steps: Sequence[StepView]) -> Table | None:
    table = _grid()
    for step in steps:
        table.add_row(Text(step.name), took(step.started_at, step.ended_at), ", ".join(_bought(step)))
    return table if steps else None


def _bought(step: StepView) -> Iterator[str]:
    if step.cached:
        yield "from the cache, no credit"
    elif step.credits:
        yield f"bought for {step.credits} credit{'' if step.credits == 1 else 's'}"
    if step.unknown:
        yield f"{step.unknown} cut off, charged or not"
