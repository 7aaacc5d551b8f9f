"""One lead from its event to its contact: the steps in order, resumed at the last checkpoint.

contact → address → rules of the address → look-up → rules → fields → tags → note
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from leadenrich.core.errors import Permanent, Transient
from leadenrich.core.job import Claim
from leadenrich.core.retry import Complete
from leadenrich.enrich.decision import VERDICT_STEP, Decider, Decision, kept_ending
from leadenrich.enrich.known_contact import AddressMemory, ContactReader, KnownContact
from leadenrich.enrich.mapping import FieldMapping
from leadenrich.enrich.needs import Clock, Crm, Purchases, Sightings, Steps
from leadenrich.enrich.rules import RuleSet
from leadenrich.enrich.writeback import Plan, WriteBack


@dataclass(frozen=True, slots=True)
class Choices:
    """What the operator chose. See `ghl.address_fields`, `ghl.notes` and `realestateapi.second_spelling`."""

    address_fields: tuple[str, ...] = ()
    notes: bool = False
    second_spelling: bool = False


@dataclass(frozen=True, slots=True)
class Preview:
    """What a run would do, for `enrich --dry-run`."""

    known: KnownContact
    decision: Decision
    plan: Plan


class Pipeline:
    def __init__(
        self,
        crm: Crm,
        purchases: Purchases,
        sightings: Sightings,
        memory: AddressMemory,
        clock: Clock,
        *,
        mapping: FieldMapping,
        rules: RuleSet,
        choices: Choices = Choices(),
    ) -> None:
        self._reader = ContactReader(crm, memory, clock, choices.address_fields)
        self._decider = Decider(purchases, sightings, rules, clock, second_spelling=choices.second_spelling)
        self._writeback = WriteBack(crm, mapping, rules, clock, notes=choices.notes)

    async def run(self, claim: Claim, steps: Steps) -> Complete:
        """Enrich one lead. A second run of the same job buys nothing again and writes only what is still missing.

        Raises: Permanent, with outcome NO_MATCH or NO_ADDRESS once the contact shows it; Transient, Throttled,
        ProviderOut and LostLease of what it calls.
        """
        with _first_reason_stands(kept_ending(steps), claim):
            known = await self._reader.know(claim)
        known, decision = await self._decide(claim, known, steps)
        if decision.ending or kept_ending(steps):
            await steps.record(VERDICT_STEP, decision.checkpoint())
        with _first_reason_stands(decision.ending, claim):
            plan = await self._writeback.plan(claim.location_id, known, decision)
            await self._writeback.write(claim, plan, steps)
        if decision.ending:
            raise decision.ending
        # An earlier run may have written and ended before its note; a job that changes nothing leaves none.
        if plan or any(steps.get(name) for name in ("fields", "tags", "note")):
            await self._writeback.write_note(claim, decision, steps)
        return Complete(decision.verdict.outcome, decision.verdict.reason_codes, _note(decision, plan))

    async def preview(self, claim: Claim, steps: Steps) -> Preview:
        """Everything but the writing. The look-up is real and paid for. Raises: as `run`, without the outcomes."""
        known, decision = await self._decide(claim, await self._reader.know(claim), steps)
        return Preview(known, decision, await self._writeback.plan(claim.location_id, known, decision))

    async def leave_failed_mark(self, claim: Claim) -> None:
        """Show on the contact that its job failed for a reason of ours. Raises: what the Crm raises."""
        await self._writeback.mark_failed(claim.location_id, claim.contact_id)

    async def _decide(self, claim: Claim, known: KnownContact, steps: Steps) -> tuple[KnownContact, Decision]:
        decision = await self._decider.decide(claim, known, steps)
        if decision.reject == "ADDRESS_INCOMPLETE" and not known.was_read:
            # An event's snapshot can lack what the contact has; if no contact stands, the event's word counts.
            try:
                read = await self._reader.read(claim)
            except Permanent:
                return known, decision
            return read, await self._decider.decide(claim, read, steps)
        return known, decision


@contextmanager
def _first_reason_stands(ending: Permanent | None, claim: Claim) -> Iterator[None]:
    """A job that already has its ending keeps it, whatever the contact answers: gone, refusing, or away to the end."""
    try:
        yield
    except (Permanent, Transient) as error:
        if ending is None or (isinstance(error, Transient) and claim.attempt < claim.max_attempts):
            raise
        raise ending from error


def _note(decision: Decision, plan: Plan) -> str:
    parts = [f"{len(plan.fields)} fields written" if plan.fields else "nothing changed"]
    if decision.record and not decision.record.live:
        parts.append("mock data of a test key")
    return ", ".join(parts)
