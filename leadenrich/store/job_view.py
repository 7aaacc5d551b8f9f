"""One job as people and programs see it: made from what Redis holds of it. These shapes are the admin API's."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import count, takewhile
from typing import Annotated, Any, Final, NotRequired, TypeAlias, TypedDict, cast

import msgspec
from msgspec import Meta

from leadenrich.core.job import Event, JobState, Lane, Outcome, Reason, StepRecord
from leadenrich.core.lead import FieldValue, Lead
from leadenrich.core.times import iso
from leadenrich.core.written import FIELDS_STEP, TAGS_STEP, unpack_fields, unpack_tags
from leadenrich.store.claims import steps_of
from leadenrich.store.payload import Unreadable, unpack

Time: TypeAlias = Annotated[
    str,
    Meta(
        description="ISO 8601, UTC, with milliseconds.",
        examples=["2026-11-24T15:04:05.120Z"],
        extra_json_schema={"format": "date-time"},
    ),
]


def _one_of(*names: str | None) -> dict[str, Any]:
    """What a text can be, for readers of the schema; inside it stays a plain text of Redis."""
    return {"enum": list(names)}


class StepView(msgspec.Struct, frozen=True, omit_defaults=True):
    """One checkpointed step; a later try skips those that have ended."""

    name: Annotated[str, Meta(examples=["contact", "lookup", "write"])]
    started_at: Time
    ended_at: Annotated[Time | None, Meta(description="null while it runs, and where its process died in it.")]
    cached: Annotated[bool, Meta(description="Answered from what was bought before.")]
    credits: Annotated[int, Meta(description="RealEstateAPI credits it cost.")]
    unknown: Annotated[
        int, Meta(description="Runs that died between intent and result: nobody knows whether each was charged.")
    ] = 0


class WrittenView(msgspec.Struct, frozen=True, kw_only=True):
    """What the job changed on the contact."""

    fields: Annotated[
        dict[str, FieldValue],
        Meta(
            description="Custom field key → value as it was sent, long texts cut; null for those who may only look.",
            examples=[{"equity_percent": 71, "mls_status": "Off Market"}],
        ),
    ]
    tags_added: list[str]
    tags_removed: list[str]


class AttemptView(msgspec.Struct, frozen=True, omit_defaults=True):
    """One run of the job, from the timeline."""

    number: Annotated[
        int,
        Meta(description="The try that it was, from 1. One that was handed back is not counted: the next is it again."),
    ]
    started_at: Time
    ended_at: Annotated[Time | None, Meta(description="null while it runs.")]
    seconds: Annotated[float | None, Meta(description="How long it ran.")]
    result: Annotated[
        str | None,
        Meta(
            description="The event that ended it: queued is a run that was handed back.",
            extra_json_schema=_one_of("completed", "retrying", "failed", "stalled", "throttled", "queued", None),
        ),
    ]
    by: Annotated[str, Meta(description="The daemon that ran it: name/boot.")] = ""
    error: str = ""
    provider: Annotated[str, Meta(description="Whose answer the error was; not told where it was none's.")] = ""
    status: Annotated[
        int | None, Meta(description="The HTTP status that the provider answered, where it answered.")
    ] = None


class TimelineEntry(TypedDict):
    """One event of the job. Which members it has beside the first two depends on the event."""

    time: Time
    event: Annotated[str, Meta(extra_json_schema=_one_of(*Event))]
    attempt: NotRequired[Annotated[int, Meta(description="The try it belongs to, from 1; 0 before the first.")]]
    by: NotRequired[Annotated[str, Meta(description="The daemon that worked on it: name/boot.")]]
    why: NotRequired[str]
    until: NotRequired[str]
    note: NotRequired[Annotated[str, Meta(description="What was done, in a sentence.")]]
    outcome: NotRequired[str]
    codes: NotRequired[Annotated[list[str], Meta(description="The rules that fired.")]]
    reason: NotRequired[str]
    error: NotRequired[str]
    trace: NotRequired[Annotated[str, Meta(description="The stack of the error, where it is our own.")]]
    seconds: NotRequired[Annotated[float, Meta(description="How long the run took.")]]
    provider: NotRequired[Annotated[str, Meta(description="Whose answer the error was.")]]
    status: NotRequired[Annotated[int, Meta(description="The HTTP status of that answer.")]]
    delay_s: NotRequired[Annotated[float, Meta(description="Seconds until the next try.")]]
    charged: NotRequired[Annotated[bool, Meta(description="Whether a stall counts against the job.")]]


class JobView(msgspec.Struct, frozen=True, kw_only=True):
    """A job: one lead on its way, or at its end."""

    id: Annotated[str, Meta(description="Sorts by time of creation.", examples=["0mw3kq2v5x7c1a9d"])]
    state: Annotated[str, Meta(extra_json_schema=_one_of(*JobState))]
    lane: Annotated[str, Meta(extra_json_schema=_one_of(*Lane))]
    contact_id: str
    location_id: str
    lead: Annotated[
        Lead | None, Meta(description="As it came in; null once queue.payload_retention is over after its end.")
    ]
    attempts_made: Annotated[int, Meta(description="Tries that ended and were charged, and one that is running.")]
    max_attempts: int
    stalled_count: Annotated[int, Meta(description="Times its process died while it ran alone.")]
    created_at: Time
    started_at: Time | None
    finished_at: Time | None
    next_attempt_at: Time | None
    outcome: Annotated[
        str | None,
        Meta(description="The lead's fate; null where none was reached.", extra_json_schema=_one_of(*Outcome, None)),
    ]
    reason: Annotated[
        str | None,
        Meta(description="Why it ended in FAILED_FINAL.", extra_json_schema=_one_of(*Reason, None)),
    ]
    error: str | None
    disqualified_by: Annotated[list[str], Meta(description="The codes of the rules that spoke against the lead.")]
    steps: list[StepView]
    timeline: list[TimelineEntry]
    attempts: Annotated[list[AttemptView], Meta(description="The runs, the oldest first.")] = []
    written: Annotated[
        WrittenView | None,
        Meta(description="null in lists, where nothing was written, and where it is kept no longer."),
    ] = None


def job_view(
    job_id: str, raw: dict[bytes, bytes], load: bytes | None, timeline: bytes | None, steps: dict[bytes, bytes]
) -> JobView | None:
    """From the job's four keys; None where there is no such job."""
    if not raw:
        return None
    job = {key.decode(): value.decode() for key, value in raw.items()}
    entries = _timeline(job, timeline)
    return JobView(
        id=job_id,
        state=job["state"],
        lane=job["lane"],
        contact_id=job["contact"],
        location_id=job["location"],
        lead=_lead(load),
        attempts_made=int(job.get("tries", 0)),
        max_attempts=int(job["max"]),
        stalled_count=int(job.get("stalls", 0)),
        created_at=iso(int(job["created"])),
        started_at=iso(int(began)) if (began := job.get("started") or job.get("begun")) else None,
        finished_at=iso(int(job["finished"])) if "finished" in job else None,
        next_attempt_at=iso(int(job["next"])) if "next" in job else None,
        outcome=job.get("outcome") or None,
        reason=job.get("reason") or None,
        error=job.get("error") or None,
        disqualified_by=[code for code in job.get("codes", "").split(",") if code],
        steps=[_step(step) for step in sorted(steps_of(steps).values(), key=lambda step: step.started_ms)],
        timeline=entries,
        attempts=_attempts(entries),
    )


def written_view(steps: Mapping[bytes, bytes]) -> WrittenView | None:
    """From the job's steps; None where nothing was written."""
    fields, tags = unpack_fields(_wrote(steps, FIELDS_STEP)), unpack_tags(_wrote(steps, TAGS_STEP))
    if not (fields or tags.added or tags.removed):
        return None
    return WrittenView(fields=fields, tags_added=list(tags.added), tags_removed=list(tags.removed))


def _wrote(steps: Mapping[bytes, bytes], name: str) -> bytes:
    """A step's result: whole, or in the pieces that complete.lua made of it."""
    whole = steps.get(f"{name}:result".encode())
    if whole is not None:
        return whole
    pieces = (steps.get(f"{name}:{number}".encode(), b"") for number in count(1))
    return b"".join(takewhile(bool, pieces))


def _step(step: StepRecord) -> StepView:
    ended = iso(step.ended_ms) if step.ended_ms else None
    return StepView(step.name, iso(step.started_ms), ended, step.cached, step.credits, step.unknown)


def _timeline(job: Mapping[str, str], lines: bytes | None) -> list[TimelineEntry]:
    """`queued` and the run that is under way, or that succeeded, have no line: the job's own words tell them."""
    entries: list[TimelineEntry] = [{"time": iso(int(job["created"])), "event": "queued"}]
    for line in (lines or b"").splitlines():
        event, ms, attempt, detail = json.loads(line)
        entries.append(cast(TimelineEntry, {"time": iso(ms), "event": event, "attempt": attempt, **(detail or {})}))
    if "begun" in job:
        begun, attempt, by = int(job["begun"]), int(job["tries"]), job["token"].rpartition(":")[0]
        entries.append({"time": iso(begun), "event": "started", "attempt": attempt, "by": by})
        if job["state"] == JobState.SUCCEEDED:
            entries.append(_completed(job, attempt, begun))
    return entries


def _completed(job: Mapping[str, str], attempt: int, begun_ms: int) -> TimelineEntry:
    finished_ms, codes = int(job["finished"]), job.get("codes", "")
    entry: TimelineEntry = {
        "time": iso(finished_ms), "event": "completed", "attempt": attempt, "outcome": job["outcome"],
        "codes": codes.split(",") if codes else [], "seconds": max(0, finished_ms - begun_ms) / 1000,
    }  # fmt: skip
    if note := job.get("note"):
        entry["note"] = note
    return entry


_ENDS: Final = frozenset({"completed", "retrying", "failed", "stalled", "throttled", "queued"})


def _attempts(timeline: Sequence[TimelineEntry]) -> list[AttemptView]:
    """Each start, and the next event that ends a run: a job has one run at a time."""
    attempts: list[AttemptView] = []
    start: TimelineEntry | None = None
    for entry in timeline:
        if entry["event"] == "started":
            start = entry
            attempts.append(AttemptView(entry.get("attempt", 0), entry["time"], None, None, None, entry.get("by", "")))
        elif start is not None and entry["event"] in _ENDS:
            attempts[-1] = msgspec.structs.replace(
                attempts[-1],
                ended_at=entry["time"],
                seconds=_seconds(start["time"], entry["time"]),
                result=entry["event"],
                error=entry.get("error", ""),
                provider=entry.get("provider", ""),
                status=entry.get("status"),
            )
            start = None
    return attempts


def _seconds(start: str, end: str) -> float:
    """Not below 0: the clock of Redis may have been set back meanwhile."""
    return max(0.0, round((datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds(), 3))


def _lead(payload: bytes | None) -> Lead | None:
    try:
        return unpack(payload) if payload else None
    except Unreadable:
        return None
