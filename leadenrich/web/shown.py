"""What the pages show of the store's answers: the same members as the admin API's, read from the same structs."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from leadenrich.core.lead import FieldValue, Lead

Shown = TypeVar("Shown", bound=msgspec.Struct)


class ProviderShown(msgspec.Struct):
    paused: str | None = None
    until: str | None = None
    rate: float | None = None
    credits_today: int | None = None


class StatsShown(msgspec.Struct):
    lanes: dict[str, dict[str, int]] = {}
    oldest_waiting_seconds: float | None = None
    rates: dict[str, float] = {}
    providers: dict[str, ProviderShown] = {}
    totals: dict[str, int] = {}
    paused: str | None = None


class StepShown(msgspec.Struct):
    name: str
    started_at: str
    ended_at: str | None = None
    cached: bool = False
    credits: int = 0
    unknown: int = 0


class EntryShown(msgspec.Struct):
    """One line of the timeline; which members it has depends on its event."""

    time: str
    event: str
    attempt: int = 0
    why: str = ""
    by: str = ""
    until: str = ""
    note: str = ""
    reason: str = ""
    outcome: str = ""
    codes: list[str] = []
    error: str = ""
    trace: str = ""
    delay_s: float = 0.0
    seconds: float = 0.0
    charged: bool = False


class WrittenShown(msgspec.Struct):
    fields: dict[str, FieldValue] = {}
    tags_added: list[str] = []
    tags_removed: list[str] = []


class JobShown(msgspec.Struct):
    id: str
    state: str
    lane: str = ""
    contact_id: str = ""
    location_id: str = ""
    lead: Lead | None = None
    attempts_made: int = 0
    max_attempts: int = 0
    stalled_count: int = 0
    created_at: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    next_attempt_at: str | None = None
    outcome: str | None = None
    reason: str | None = None
    error: str | None = None
    disqualified_by: list[str] = []
    steps: list[StepShown] = []
    timeline: list[EntryShown] = []
    written: WrittenShown | None = None

    @property
    def title(self) -> str:
        """The person, else the contact's id."""
        lead = self.lead
        return (lead and (lead.name or f"{lead.first_name} {lead.last_name}".strip())) or self.contact_id

    @property
    def address(self) -> str:
        """In one line, as it came in; "" for none."""
        if self.lead is None or not self.lead.address:
            return ""
        told = self.lead.address
        place = f"{told.state} {told.postal_code}".strip()
        return ", ".join(part for part in (told.line1 or told.full, told.city, place) if part)


class JobsShown(msgspec.Struct):
    jobs: list[JobShown] = []
    next_cursor: str | None = None


def shown(answer: msgspec.Struct, kind: type[Shown]) -> Shown:
    return msgspec.convert(msgspec.to_builtins(answer), kind)
