"""The disqualification rules: a record in, a verdict out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final

from leadenrich.config import RuleEntry
from leadenrich.core.address import NormalAddress
from leadenrich.core.job import Outcome
from leadenrich.enrich.conditions import Scene, leaves
from leadenrich.enrich.derived import Limits, Reading
from leadenrich.enrich.names import LeadNames
from leadenrich.enrich.presets import PRESETS, rules_file
from leadenrich.enrich.record import PropertyRecord
from leadenrich.enrich.rule import Rule
from leadenrich.enrich.rulebook import read_rules
from leadenrich.enrich.verdict import Hit, Severity, Verdict, worst

__all__ = ["Hit", "LeadNames", "Rule", "RuleSet", "Severity", "Verdict", "compile_rules"]

_DQ: Final = "DQ_"


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The rules in file order, those that are off too. `tags` maps an outcome to its tag.

    `all_tags` are all that may be ours on a contact, also from an earlier setting: a run removes those of them that no
    longer hold, and no other. HighLevel keeps tags in lower case: compare without case.
    """

    rules: tuple[Rule, ...]
    limits: Limits
    tags: Mapping[str, str]
    all_tags: frozenset[str] = field(default_factory=frozenset)

    def judge_address(self, address: NormalAddress | None, reject: str | None, *, duplicate: bool) -> Verdict:
        """What is known before a look-up is paid for. `reject` is the code of an address that cannot be bought.

        NO_ADDRESS and DISQUALIFIED end the lead here; REVIEW (a duplicate) is looked up and judged again.
        """
        scene = Scene(date.min, address, reject, duplicate)
        hits = tuple(hit for rule in self._on("address") if (hit := rule.ask(scene)))
        if reject is not None and reject not in {hit.code for hit in hits}:
            hits = (Hit(reject, "no_address", "the address cannot be looked up"), *hits)
        return Verdict(worst(hits), hits, limits=self.limits)

    def judge(
        self,
        record: PropertyRecord,
        *,
        lead_names: LeadNames,
        address: NormalAddress | None,
        duplicate: bool,
        now: datetime,
    ) -> Verdict:
        """All hits, the address's again among them. Where the record is another property's, nothing is judged by it."""
        known = Scene(now.date(), address, None, duplicate, Reading(record, now.date(), lead_names, self.limits))
        stranger = any(hit.severity == "no_match" for rule in self._on("lookup") if (hit := rule.ask(known)))
        blind = Scene(now.date(), address, None, duplicate)
        hits = []
        for rule in self._on("address", "lookup", "property"):
            if stranger and rule.stage == "property":
                continue
            if hit := rule.ask(blind if stranger and rule.stage == "address" else known):
                hits.append(hit)
        return Verdict(worst(tuple(hits)), tuple(hits), lead_names, self.limits)

    def tags_for(self, verdict: Verdict) -> tuple[str, ...]:
        """One tag for the outcome, where it has one, and `DQ_<CODE>` for each hit that disqualifies."""
        outcome = self.tags.get(verdict.outcome)
        return (*([outcome] if outcome else []), *(_DQ + code for code in verdict.dq_codes))

    @property
    def duplicate_days(self) -> int | None:
        """How far back another contact with the same address counts; None when no rule asks for it."""
        days = [
            leaf.wanted
            for rule in self.rules
            if rule.enabled
            for leaf in (*leaves(rule.when), *(leaves(rule.unless) if rule.unless else ()))
            if leaf.op.needs == "days"
        ]
        return max(days, default=None)

    def explain(self, *, with_off: bool = False) -> list[str]:
        """Each rule in words, in file order."""
        return [
            rule.sentence() if rule.enabled else f"Off: {rule.sentence()}"
            for rule in self.rules
            if rule.enabled or with_off
        ]

    def _on(self, *stages: str) -> list[Rule]:
        return [rule for rule in self.rules if rule.enabled and rule.stage in stages]


def compile_rules(preset: str, overrides: Sequence[RuleEntry]) -> RuleSet:
    """The preset with the `[[rules]]` laid over it by `code`.

    Raises: SettingFaults, with every fault found.
    """
    rules, limits = read_rules(preset, overrides)
    tags = rules_file(preset).tags
    return RuleSet(rules, limits, tags, _all_tags(preset, rules, tags))


def _all_tags(preset: str, rules: Sequence[Rule], tags: Mapping[str, str]) -> frozenset[str]:
    codes = {rule.code for rule in rules}
    for name in PRESETS:  # a location that changed its preset keeps no tag of the old one
        codes |= {source.code for source in rules_file(name).rules}
    severities = {severity for rule in rules for severity in (rule.severity, rule.downgrade_to)}
    # `review` is a common word: a preset that can never set it must not take it from people.
    outcomes = {tag for outcome, tag in tags.items() if outcome != Outcome.REVIEW or "review" in severities}
    return frozenset(outcomes) | {_DQ + code for code in codes}
