"""A small world for the pipeline: HighLevel, the seller of records, checkpoints and a clock, all in memory."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from leadenrich.core.address import NormalAddress
from leadenrich.core.contact import Contact, CustomField
from leadenrich.core.errors import LostLease
from leadenrich.core.job import Claim, Lane, StepRecord
from leadenrich.core.lead import FieldValue, Lead, PostalAddress
from leadenrich.core.property import Found, LookupAnswer, NoMatch, decode_answer, encode_answer
from leadenrich.core.retry import Complete
from leadenrich.enrich.mapping import compile_mapping
from leadenrich.enrich.pipeline import Choices, Pipeline
from leadenrich.enrich.rules import compile_rules

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
HOME = PostalAddress("742 Evergreen Terrace", "Springfield", "IL", "62704")
KEY = "742|EVERGREEN TER||62704"
SAMPLE: dict[str, Any] = {
    "live": True,
    "data": {
        "id": 190000001,
        "propertyType": "SFR",
        "estimatedValue": 342000,
        "equityPercent": 71,
        "mlsActive": False,
        "mlsPending": False,
        "ownerOccupied": True,
        "ownerInfo": {"owner1FullName": "Alex Q Sample", "owner1LastName": "Sample", "owner1Type": "Individual"},
        "propertyInfo": {
            "address": {
                "address": "742 Evergreen Ter",
                "house": "742",
                "street": "Evergreen",
                "city": "Springfield",
                "state": "IL",
                "zip": "62704",
                "county": "Sangamon",
            },
            "bedrooms": 3,
            "yearBuilt": 1974,
        },
    },
}


def record(**changes: Any) -> dict[str, Any]:
    """A clean single-family home of an owner-occupier called Sample, with changes at the top of its data."""
    return {**SAMPLE, "data": {**SAMPLE["data"], **changes}}


class FakeClock:
    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> datetime:
        return self.time

    def advance(self, **span: float) -> None:
        self.time += timedelta(**span)


class FakeCrm:
    """Remembers its calls; `errors` maps a call's name to what its next calls raise; `deaf` fields are not kept."""

    def __init__(self) -> None:
        keys = [(entry.key, entry.name, entry.data_type) for entry in compile_mapping("standard", {}).entries]
        self.known = {key: CustomField(f"id_{key}", key, name, kind) for key, name, kind in keys}
        self.contacts: dict[str, Contact] = {}
        self.note_bodies: list[str] = []
        self.calls: list[str] = []
        self.sent: list[dict[str, FieldValue]] = []
        self.errors: dict[str, list[Exception]] = {}
        self.after: dict[str, list[Exception]] = {}
        self.deaf: set[str] = set()

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if self.errors.get(name):
            raise self.errors[name].pop(0)

    def _answer(self, name: str) -> None:
        """The answer gets lost after the work is done."""
        if self.after.get(name):
            raise self.after[name].pop(0)

    async def contact(self, location_id: str, contact_id: str) -> Contact:
        self._call("contact")
        return self.contacts[contact_id]

    async def custom_fields(self, location_id: str, *, refresh: bool = False) -> Mapping[str, CustomField]:
        if refresh:
            self._call("refresh")
        return self.known

    async def update_fields(
        self, location_id: str, contact_id: str, fields: Mapping[str, FieldValue]
    ) -> Mapping[str, FieldValue]:
        self._call("put")
        self.sent.append({field_id.removeprefix("id_"): value for field_id, value in fields.items()})
        contact = self.contacts[contact_id]
        held = contact.custom_fields | {key: value for key, value in fields.items() if key not in self.deaf}
        self.contacts[contact_id] = replace(contact, custom_fields=held)
        self._answer("put")
        return held

    async def add_tags(self, location_id: str, contact_id: str, tags: Sequence[str]) -> None:
        self._call("add_tags")
        contact = self.contacts[contact_id]
        added = (tag.lower() for tag in tags)
        self.contacts[contact_id] = replace(contact, tags=tuple(dict.fromkeys((*contact.tags, *added))))
        self._answer("add_tags")

    async def remove_tags(self, location_id: str, contact_id: str, tags: Sequence[str]) -> None:
        self._call("remove_tags")
        contact = self.contacts[contact_id]
        gone = {tag.lower() for tag in tags}
        self.contacts[contact_id] = replace(contact, tags=tuple(tag for tag in contact.tags if tag not in gone))

    async def notes(self, location_id: str, contact_id: str) -> Sequence[str]:
        self._call("notes")
        return tuple(self.note_bodies)

    async def add_note(self, location_id: str, contact_id: str, body: str) -> None:
        self._call("add_note")
        self.note_bodies.append(body)
        self._answer("add_note")


class FakeSteps:
    """Checkpoints that outlive a run, as those in Redis do."""

    def __init__(self) -> None:
        self.known: dict[str, StepRecord] = {}
        self.lost = False

    def get(self, name: str) -> StepRecord | None:
        return self.known.get(name)

    async def intend(self, name: str) -> None:
        self._prove()
        self.known[name] = StepRecord(name, NOW_MS)

    async def record(self, name: str, result: bytes, *, cached: bool = False, credits: int = 0) -> None:
        self._prove()
        self.known[name] = StepRecord(name, NOW_MS, NOW_MS, cached, credits, result)

    def _prove(self) -> None:
        if self.lost:
            raise LostLease


class FakePurchases:
    """Sells by address key; `sold` are the calls that reached the seller."""

    def __init__(self) -> None:
        self.answers: dict[str, LookupAnswer | Exception] = {KEY: Found(record(), "190000001")}
        self.sold: list[str] = []

    async def buy(
        self, address: NormalAddress, *, location_id: str, steps: Any, step: str
    ) -> tuple[LookupAnswer, bool]:
        known = steps.get(step)
        if known and known.result is not None:
            return decode_answer(known.result), True
        self.sold.append(address.key)
        await steps.intend(step)
        answer = self.answers.get(address.key, NoMatch("no such property"))
        if isinstance(answer, Exception):
            raise answer
        await steps.record(step, encode_answer(answer), credits=1)
        return answer, False


class FakeSightings:
    def __init__(self) -> None:
        self.elsewhere: set[str] = set()
        self.asked: list[tuple[str, float]] = []
        self.noted: dict[str, str] = {}

    async def seen_elsewhere(self, location_id: str, address_key: str, contact_id: str, within_s: float) -> bool:
        self.asked.append((address_key, within_s))
        return address_key in self.elsewhere

    async def note_address(self, location_id: str, contact_id: str, fingerprint: str) -> None:
        self.noted.setdefault(contact_id, fingerprint)


@dataclass
class World:
    crm: FakeCrm = field(default_factory=FakeCrm)
    purchases: FakePurchases = field(default_factory=FakePurchases)
    sightings: FakeSightings = field(default_factory=FakeSightings)
    clock: FakeClock = field(default_factory=FakeClock)
    steps: FakeSteps = field(default_factory=FakeSteps)
    ids: Any = field(default_factory=lambda: itertools.count(1))

    def pipeline(self, *, rules: Sequence[Any] = (), **choices: Any) -> Pipeline:
        return Pipeline(
            self.crm,
            self.purchases,
            self.sightings,
            self.sightings,
            self.clock,
            mapping=compile_mapping("standard", {}),
            rules=compile_rules("standard", rules),
            choices=Choices(**choices),
        )

    def contact(self, **more: Any) -> Contact:
        """The contact as HighLevel has it."""
        named: dict[str, Any] = {"address": HOME, "first_name": "Alex", "last_name": "Sample", **more}
        contact = Contact("c1", "loc1", **named)
        self.crm.contacts["c1"] = contact
        return contact

    def fields(self) -> dict[str, FieldValue]:
        return {key.removeprefix("id_"): value for key, value in self.crm.contacts["c1"].custom_fields.items()}

    def tags(self) -> set[str]:
        return set(self.crm.contacts["c1"].tags)

    async def run(self, claim: Claim, **choices: Any) -> Complete:
        return await self.pipeline(**choices).run(claim, self.steps)


def claim(attempt: int = 1, *, rerun: bool = False, job_id: str = "j1", **lead: Any) -> Claim:
    told: dict[str, Any] = {
        "location_id": "loc1",
        "contact_id": "c1",
        "kind": "create",
        "event_ms": NOW_MS - 2000,
        "address": HOME,
        "first_name": "Alex",
        "last_name": "Sample",
        "tags": (),
        "custom_fields": {},
        **lead,
    }
    return Claim(
        job_id=job_id,
        token="t",
        lane=Lane.LIVE,
        location_id="loc1",
        contact_id="c1",
        attempt=attempt,
        max_attempts=3,
        stalled_count=0,
        alone=False,
        probe=False,
        created_ms=NOW_MS,
        lead=Lead(**told),
        rerun=rerun,
    )
