"""What a decision changes on the contact: planned first, then written, only what differs.

Every write is safe to repeat. What the contact holds is known when it was read; after an event alone it may be
unknown, then all fields are written and our tags are only added: such a contact is seen for the first time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import structlog

from leadenrich.core.address import one_line
from leadenrich.core.contact import CustomField
from leadenrich.core.job import Claim
from leadenrich.core.lead import FieldValue
from leadenrich.core.written import FIELDS_STEP, TAGS_STEP, pack_fields, pack_tags, unpack_fields
from leadenrich.enrich.decision import Decision
from leadenrich.enrich.field_values import fitted, same_value
from leadenrich.enrich.known_contact import KnownContact, find_field
from leadenrich.enrich.mapping import FieldMapping
from leadenrich.enrich.needs import Clock, Crm, Steps
from leadenrich.enrich.rules import RuleSet

log = structlog.get_logger("leadenrich.writeback")

LOOK_AGAIN: Final = timedelta(minutes=10)  # for custom fields that a location lacked


@dataclass(frozen=True, slots=True)
class Plan:
    """The difference: custom fields by id, and our tags to add and to remove. `keys` names the fields."""

    fields: Mapping[str, FieldValue] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)
    add_tags: tuple[str, ...] = ()
    remove_tags: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.fields or self.add_tags or self.remove_tags)


class WriteBack:
    def __init__(self, crm: Crm, mapping: FieldMapping, rules: RuleSet, clock: Clock, *, notes: bool = False) -> None:
        self._crm = crm
        self._mapping = mapping
        self._rules = rules
        self._clock = clock
        self._notes = notes
        self._names = {entry.key: entry.name for entry in mapping.entries}
        self._dates_of_run = {entry.key for entry in mapping.entries if entry.source == ("@now",)}
        self._missing: set[tuple[str, str]] = set()  # location, key: warned of
        self._looked: dict[str, datetime] = {}  # location: when its fields were last read again for a missing one

    async def plan(self, location_id: str, known: KnownContact, decision: Decision) -> Plan:
        """What would be written. Raises: what Crm.custom_fields raises."""
        wanted = self._mapping.fields(decision.record, decision.verdict, self._clock.now())
        add, remove = self._tags(known.tags, self._rules.tags_for(decision.verdict))
        return self._difference(await self._located(location_id, wanted), wanted, known.fields, add, remove)

    async def write(self, claim: Claim, plan: Plan, steps: Steps) -> None:
        """Raises: what the Crm raises; LostLease before a write that would no longer be ours to make."""
        earlier = unpack_fields(_result(steps, FIELDS_STEP))  # of a run of this job that did not come to its end
        if plan.fields:
            await steps.intend(FIELDS_STEP)
            held = await self._crm.update_fields(claim.location_id, claim.contact_id, plan.fields)
            _warn_of_lost(plan, held)
        if plan.fields or _is_open(steps, FIELDS_STEP):
            now = {plan.keys[field_id]: value for field_id, value in plan.fields.items()}
            await steps.record(FIELDS_STEP, pack_fields({**earlier, **now}))
        if plan.add_tags or plan.remove_tags:
            await steps.intend(TAGS_STEP)
            # The old ones first: an automation that starts on the new tag must not meet them.
            if plan.remove_tags:
                await self._crm.remove_tags(claim.location_id, claim.contact_id, plan.remove_tags)
            if plan.add_tags:
                await self._crm.add_tags(claim.location_id, claim.contact_id, plan.add_tags)
        if plan.add_tags or plan.remove_tags or _is_open(steps, TAGS_STEP):
            await steps.record(TAGS_STEP, pack_tags(plan.add_tags, plan.remove_tags))

    async def write_note(self, claim: Claim, decision: Decision, steps: Steps) -> None:
        """One note a job, where notes are on; its marker line tells an earlier run's."""
        done = steps.get("note")
        if not self._notes or (done is not None and done.ended_ms is not None):
            return
        marker = f"[leadenrich {claim.job_id}]"
        written = False
        if claim.rerun or claim.attempt > 1 or done is not None:
            written = any(marker in body for body in await self._crm.notes(claim.location_id, claim.contact_id))
        if not written:
            await steps.intend("note")
            await self._crm.add_note(claim.location_id, claim.contact_id, f"{_summary(decision)}\n{marker}")
        await steps.record("note", b"")

    async def mark_failed(self, location_id: str, contact_id: str) -> None:
        """`enrichment_status` = FAILED and nothing else. Raises: what the Crm raises."""
        wanted = self._mapping.status("FAILED")
        plan = self._difference(await self._located(location_id, wanted), wanted, None, (), ())
        if plan.fields:
            await self._crm.update_fields(location_id, contact_id, plan.fields)

    def _difference(
        self,
        fields: Mapping[str, CustomField],
        wanted: Mapping[str, FieldValue],
        held: Mapping[str, FieldValue] | None,
        add_tags: tuple[str, ...],
        remove_tags: tuple[str, ...],
    ) -> Plan:
        changes = {
            key: fitted(value, fields[key].data_type)
            for key, value in wanted.items()
            if key in fields
            and (held is None or not same_value(held.get(fields[key].field_id), value, fields[key].data_type))
        }
        if held is not None and changes.keys() <= self._dates_of_run:
            changes = {}  # a run that finds nothing new leaves no trace: its echo would start the next
        return Plan(
            {fields[key].field_id: value for key, value in changes.items()},
            {fields[key].field_id: key for key in changes},
            {fields[key].field_id: fields[key].data_type for key in changes},
            add_tags,
            remove_tags,
        )

    def _tags(self, held: tuple[str, ...] | None, wanted: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Ours to add and ours to remove, without case: HighLevel keeps them lower. Others' tags are never touched."""
        if held is None:
            return wanted, ()
        have = {tag.casefold(): tag for tag in held}
        folded = {tag.casefold() for tag in wanted}
        ours = {tag.casefold() for tag in self._rules.all_tags}
        add = tuple(tag for tag in wanted if tag.casefold() not in have)
        return add, tuple(tag for name, tag in have.items() if name in ours and name not in folded)

    async def _located(self, location_id: str, wanted: Mapping[str, FieldValue]) -> dict[str, CustomField]:
        """Key → the location's field. What it lacks is looked for once more, then left out with one warning."""
        found = self._find(await self._crm.custom_fields(location_id), wanted)
        if len(found) < len(wanted) and self._may_look_again(location_id):
            self._looked[location_id] = self._clock.now()
            found = self._find(await self._crm.custom_fields(location_id, refresh=True), wanted)
        for key in wanted:
            if key not in found and (location_id, key) not in self._missing:
                self._missing.add((location_id, key))
                log.warning("custom_field_missing", location_id=location_id, key=key, hint="run: leadenrich setup")
        return found

    def _find(self, fields: Mapping[str, CustomField], wanted: Mapping[str, FieldValue]) -> dict[str, CustomField]:
        found = ((key, find_field(fields, key, self._names.get(key, key))) for key in wanted)
        return {key: custom for key, custom in found if custom is not None}

    def _may_look_again(self, location_id: str) -> bool:
        last = self._looked.get(location_id)
        return last is None or self._clock.now() - last >= LOOK_AGAIN


def _result(steps: Steps, name: str) -> bytes | None:
    step = steps.get(name)
    return step.result if step is not None else None


def _is_open(steps: Steps, name: str) -> bool:
    """An earlier run meant to write and was not heard of again; the contact shows now that it did."""
    step = steps.get(name)
    return step is not None and step.ended_ms is None


def _warn_of_lost(plan: Plan, held: Mapping[str, FieldValue]) -> None:
    """HighLevel answers 200 for fields it did not take: what the answer shows counts."""
    lost = [
        plan.keys[field_id]
        for field_id, value in plan.fields.items()
        if not same_value(held.get(field_id), value, plan.types[field_id])
    ]
    if lost:
        log.warning("custom_fields_not_kept", keys=lost)


def _summary(decision: Decision) -> str:
    lines = [f"Property enrichment: {decision.verdict.outcome}"]
    if decision.address:
        lines.append(one_line(decision.address))
    lines += [f"{hit.code}: {hit.why}" for hit in decision.verdict.hits]
    return "\n".join(lines)
