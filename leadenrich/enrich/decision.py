"""From a contact's address to a verdict: normalised, judged, bought where that is needed, judged again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from leadenrich.core.address import AddressRejected, NormalAddress, RejectCode, long_form, normalise
from leadenrich.core.errors import Permanent
from leadenrich.core.job import Claim, Outcome, Reason
from leadenrich.core.property import BadAddress, Found, LookupAnswer, NoMatch
from leadenrich.enrich.known_contact import KnownContact
from leadenrich.enrich.needs import Clock, Purchases, Sightings, Steps
from leadenrich.enrich.record import PropertyRecord
from leadenrich.enrich.rules import RuleSet
from leadenrich.enrich.verdict import OUTCOMES, Verdict

ADDRESS_STEP: Final = "address"
VERDICT_STEP: Final = "verdict"
_REASONS: Final = {Outcome.NO_MATCH: Reason.PROPERTY_NOT_FOUND, Outcome.NO_ADDRESS: Reason.BAD_ADDRESS}


class _Ending(msgspec.Struct, frozen=True):
    """The checkpoint of a verdict that ends the job in FAILED_FINAL; `reason` is None for all others."""

    reason: Reason | None
    outcome: Outcome
    codes: tuple[str, ...]
    why: str


class _Asked(msgspec.Struct, frozen=True):
    """The address that the job bought; `turn` counts how often it became another one between two runs."""

    key: str
    turn: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict and what it rests on. `reason` is set where the job ends in FAILED_FINAL, `why` says it in words."""

    verdict: Verdict
    address: NormalAddress | None = None
    record: PropertyRecord | None = None
    reason: Reason | None = None
    why: str = ""
    reject: RejectCode | None = None

    @property
    def ending(self) -> Permanent | None:
        """What to raise once the contact shows the outcome; None: the job succeeds."""
        if self.reason is None:
            return None
        return Permanent(self.why, reason=self.reason, outcome=self.verdict.outcome, codes=self.verdict.codes)

    def checkpoint(self) -> bytes:
        return msgspec.json.encode(_Ending(self.reason, self.verdict.outcome, self.verdict.codes, self.why))


def kept_ending(steps: Steps) -> Permanent | None:
    """The ending that an earlier run came to but could not write to the contact."""
    step = steps.get(VERDICT_STEP)
    if step is None or step.result is None:
        return None
    kept = msgspec.json.decode(step.result, type=_Ending)
    if kept.reason is None:
        return None
    return Permanent(kept.why, reason=kept.reason, outcome=kept.outcome, codes=kept.codes)


class Decider:
    """`second_spelling`: after a no-match one more paid try with the long form of street words."""

    def __init__(
        self, purchases: Purchases, sightings: Sightings, rules: RuleSet, clock: Clock, *, second_spelling: bool = False
    ) -> None:
        self._purchases = purchases
        self._sightings = sightings
        self._rules = rules
        self._duplicate_s = 86_400.0 * (rules.duplicate_days or 0)
        self._clock = clock
        self._second_spelling = second_spelling

    async def decide(self, claim: Claim, known: KnownContact, steps: Steps) -> Decision:
        """Raises: what Purchases.buy and Sightings raise; LostLease."""
        try:
            address = normalise(known.address)
        except AddressRejected as rejected:
            return self._refused(rejected)
        duplicate = await self._is_duplicate(claim, address)
        verdict = self._rules.judge_address(address, None, duplicate=duplicate)
        if verdict.outcome in (Outcome.DISQUALIFIED, *_REASONS):
            return _decided(verdict, address, None)  # out of the area: nothing is bought
        answer = await self._look_up(claim, address, steps)
        if isinstance(answer, NoMatch):
            return Decision(
                Verdict(Outcome.NO_MATCH),
                address,
                None,
                Reason.PROPERTY_NOT_FOUND,
                f"no such property: {answer.reason}",
            )
        if isinstance(answer, BadAddress):
            return Decision(
                Verdict(Outcome.NO_ADDRESS),
                address,
                None,
                Reason.BAD_ADDRESS,
                f"the address was refused: {answer.reason}",
            )
        return self._judge(answer, known, address, duplicate)

    def _refused(self, rejected: AddressRejected) -> Decision:
        verdict = self._rules.judge_address(None, rejected.code, duplicate=False)
        missing = rejected.code == "ADDRESS_MISSING"
        reason = Reason.MISSING_ADDRESS if missing else Reason.BAD_ADDRESS
        return Decision(verdict, reason=reason, why=str(rejected), reject=rejected.code)

    async def _is_duplicate(self, claim: Claim, address: NormalAddress) -> bool:
        if not self._duplicate_s:
            return False
        return await self._sightings.seen_elsewhere(claim.location_id, address.key, claim.contact_id, self._duplicate_s)

    async def _look_up(self, claim: Claim, address: NormalAddress, steps: Steps) -> LookupAnswer:
        turn = await self._turn(address, steps)
        suffix = f".{turn}" if turn else ""
        answer, _ = await self._purchases.buy(
            address, location_id=claim.location_id, steps=steps, step=f"lookup{suffix}"
        )
        if isinstance(answer, NoMatch) and self._second_spelling and (second := long_form(address)):
            answer, _ = await self._purchases.buy(
                second, location_id=claim.location_id, steps=steps, step=f"lookup_2{suffix}"
            )
        return answer

    async def _turn(self, address: NormalAddress, steps: Steps) -> int:
        """Which address of this job this is: what an earlier run bought for another one is not this one's record."""
        step = steps.get(ADDRESS_STEP)
        asked = msgspec.json.decode(step.result, type=_Asked) if step and step.result else None
        if asked and asked.key == address.key:
            return asked.turn
        turn = asked.turn + 1 if asked else 0
        await steps.record(ADDRESS_STEP, msgspec.json.encode(_Asked(address.key, turn)))
        return turn

    def _judge(self, found: Found, known: KnownContact, address: NormalAddress, duplicate: bool) -> Decision:
        record = PropertyRecord(found.record)
        verdict = self._rules.judge(
            record, lead_names=known.names, address=address, duplicate=duplicate, now=self._clock.now()
        )
        return _decided(verdict, address, record)


def _decided(verdict: Verdict, address: NormalAddress, record: PropertyRecord | None) -> Decision:
    if (reason := _REASONS.get(verdict.outcome)) is None:
        return Decision(verdict, address, record)
    worst = next(hit for hit in verdict.hits if OUTCOMES[hit.severity] is verdict.outcome)
    # Another property's record is nobody's business here: nothing of it may be written.
    return Decision(verdict, address, None, reason, f"{worst.code}: {worst.why}")
