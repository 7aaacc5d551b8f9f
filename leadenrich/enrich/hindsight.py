"""What rules and mapping say of a lead whose answer was bought before. Buys nothing, writes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from leadenrich.core.address import NormalAddress
from leadenrich.core.job import Outcome
from leadenrich.core.lead import FieldValue
from leadenrich.core.property import BadAddress, Found, LookupAnswer, NoMatch
from leadenrich.enrich.conditions import Scene, label, leaves
from leadenrich.enrich.derived import Reading
from leadenrich.enrich.mapping import FieldEntry, FieldMapping
from leadenrich.enrich.names import LeadNames
from leadenrich.enrich.record import PropertyRecord
from leadenrich.enrich.rules import Hit, Rule, RuleSet, Verdict

_NOTHING_TO_WRITE = (Outcome.NO_MATCH, Outcome.NO_ADDRESS)


@dataclass(frozen=True, slots=True)
class Asked:
    """A rule that is on, its hit, and what it read: label → value, of what is known."""

    rule: Rule
    hit: Hit | None
    saw: dict[str, str]


@dataclass(frozen=True, slots=True)
class FieldTold:
    """A custom field, its value, and the source that had it."""

    entry: FieldEntry
    value: FieldValue
    source: str


@dataclass(frozen=True, slots=True)
class Hindsight:
    """A verdict, how each rule came to it, and the fields that would be written."""

    verdict: Verdict
    rules: tuple[Asked, ...]
    fields: tuple[FieldTold, ...]


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a lead. `reject` is the code of an address that cannot be bought; `duplicate` whether another
    contact had the address before."""

    address: NormalAddress | None
    names: LeadNames
    duplicate: bool = False
    reject: str | None = None


def ends_before_a_look_up(rules: RuleSet, known: Known) -> bool:
    """Whether the address alone decides: no record is needed."""
    verdict = rules.judge_address(known.address, known.reject, duplicate=known.duplicate)
    return verdict.outcome in (Outcome.DISQUALIFIED, *_NOTHING_TO_WRITE)


def look_back(
    rules: RuleSet, mapping: FieldMapping, known: Known, answer: LookupAnswer | None, now: datetime
) -> Hindsight:
    """`answer` may be None where `ends_before_a_look_up`; `now` is what ages are counted to."""
    record = PropertyRecord(answer.record) if isinstance(answer, Found) else None
    if ends_before_a_look_up(rules, known):
        verdict = rules.judge_address(known.address, known.reject, duplicate=known.duplicate)
        record = None
    elif record is not None:
        verdict = rules.judge(record, lead_names=known.names, address=known.address, duplicate=known.duplicate, now=now)
    else:
        verdict = _without_record(answer)
    reading = Reading(record, now.date(), known.names, rules.limits) if record else None
    scene = Scene(now.date(), known.address, known.reject, known.duplicate, reading)
    hits = {hit.code: hit for hit in verdict.hits}
    asked = (Asked(rule, hits.get(rule.code), dict(_saw(rule, scene))) for rule in rules.rules if rule.enabled)
    written = record if verdict.outcome not in _NOTHING_TO_WRITE else None
    fields = (FieldTold(*told) for told in mapping.traced(written, verdict, now))
    return Hindsight(verdict, tuple(asked), tuple(fields))


def _without_record(answer: LookupAnswer | None) -> Verdict:
    match answer:
        case BadAddress():
            return Verdict(Outcome.NO_ADDRESS)
        case NoMatch() | _:
            return Verdict(Outcome.NO_MATCH)


def _saw(rule: Rule, scene: Scene) -> Iterator[tuple[str, str]]:
    """What is no single value (a whole address, a list) is left out."""
    for condition in filter(None, (rule.when, rule.unless)):
        for leaf in leaves(condition):
            value = scene.get(leaf.source)
            if isinstance(value, bool):
                yield label(leaf.source), "yes" if value else "no"
            elif isinstance(value, int | float | str):
                yield label(leaf.source), str(value)
