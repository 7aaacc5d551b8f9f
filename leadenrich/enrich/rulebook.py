"""From a preset and the `[[rules]]` of the configuration to rules, or to all their faults at once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from leadenrich.config import RuleEntry
from leadenrich.enrich.condition_reader import ConditionReader
from leadenrich.enrich.conditions import LEAD_FIELDS, Condition, KnownFewerThan, leaves
from leadenrich.enrich.derived import Limits
from leadenrich.enrich.faults import FaultList, unknown
from leadenrich.enrich.presets import PRESETS, RulesFile, RuleSource, rules_file
from leadenrich.enrich.rule import STAGES, Rule, Stage
from leadenrich.enrich.verdict import SEVERITIES, Severity

REJECTS: Final = frozenset({"ADDRESS_MISSING", "ADDRESS_INCOMPLETE", "ADDRESS_PO_BOX", "ADDRESS_NOT_US"})

_CODE = re.compile(r"[A-Z][A-Z0-9_]*")
_AREA_LISTS: Final = ("states", "counties", "zips", "zip_prefixes")
_PARAMS: Final = (
    "months",
    "on_or_after",
    "days",
    "percent",
    "amount",
    "year",
    "sqft",
    "max_price_to_value",
    *_AREA_LISTS,
)


@dataclass(slots=True)
class _Draft:
    """A rule as it is to be read: `at` is where its faults are told."""

    source: RuleSource
    at: str


def read_rules(preset: str, overrides: Sequence[RuleEntry]) -> tuple[tuple[Rule, ...], Limits]:
    """The rules in file order, the configuration's new ones last, and the limits they set for the derived inputs.

    Raises: SettingFaults, with every fault found.
    """
    faults = FaultList()
    if preset not in PRESETS:
        faults.add("enrichment.preset", unknown("preset", preset, PRESETS))
        faults.raise_if_any()
    file = rules_file(preset)
    drafts = {source.code: _Draft(source, f"rules.{source.code}") for source in file.rules}
    seen: set[str] = set()
    for index, entry in enumerate(overrides):
        at = f"rules[{index}]"
        if entry.code in seen:
            faults.add(f"{at}.code", f"{entry.code} is given twice: join both entries")
            continue
        seen.add(entry.code)
        base = _base(entry, drafts, at, faults)
        if base is not None:
            drafts[entry.code] = _Draft(_laid_over(base, entry, at, faults), at)
    limits = _limits(file, drafts, faults)
    rules = [_rule(draft, file, faults) for draft in drafts.values()]
    faults.raise_if_any()
    return tuple(rule for rule in rules if rule is not None), limits


def _base(entry: RuleEntry, drafts: dict[str, _Draft], at: str, faults: FaultList) -> RuleSource | None:
    """What the entry changes: the preset's rule, a standard one that the preset lacks, or an empty one."""
    if entry.code in drafts:
        return drafts[entry.code].source
    standard = {source.code: source for source in rules_file("standard").rules}
    if entry.code in standard:
        return standard[entry.code]
    if not _CODE.fullmatch(entry.code):
        faults.add(f"{at}.code", f"{entry.code!r} is not a code: A-Z, 0-9 and _, a letter first")
        return None
    if entry.when is None:
        faults.add(f"{at}.code", unknown("rule", entry.code, [*drafts, *standard]) + "; a new rule needs a when")
        return None
    return RuleSource(code=entry.code)


def _laid_over(base: RuleSource, entry: RuleEntry, at: str, faults: FaultList) -> RuleSource:
    given = {
        member: value
        for member in ("stage", "severity", "enabled", "when", "unless", "downgrade_to", "why")
        if (value := getattr(entry, member)) is not None
    }
    if entry.code in REJECTS:
        for member in given.keys() - {"why"}:
            if given[member] != getattr(base, member):
                faults.add(
                    f"{at}.{member}", f"{entry.code} stands as it is: without such an address no call can be made"
                )
    params = entry.params or {}
    known = _PARAMS if entry.when is not None else tuple(base.params)
    for name in params.keys() - set(known):
        faults.add(f"{at}.params.{name}", unknown("param", name, known))
    if entry.enabled is None and any(params.get(name) for name in _AREA_LISTS):
        given["enabled"] = True
    softer = given.get("downgrade_to", base.downgrade_to)
    if entry.downgrade_to is None and softer and _milder(given.get("severity", ""), softer):
        given["downgrade_to"] = given[
            "severity"
        ]  # made milder than the preset's softened hit: nothing is left to soften
    return msgspec.structs.replace(base, **given, params={**base.params, **params})


def _milder(severity: str, other: str) -> bool:
    known = severity in SEVERITIES and other in SEVERITIES
    return known and SEVERITIES.index(severity) > SEVERITIES.index(other)


def _limits(file: RulesFile, drafts: dict[str, _Draft], faults: FaultList) -> Limits:
    # In this order: LAND BANK is a government's, not a bank's.
    named = (("government", file.owner_name_patterns.government), ("bank", file.owner_name_patterns.bank))
    patterns = tuple((name, tuple(re.compile(text, re.IGNORECASE) for text in texts)) for name, texts in named)
    for draft in drafts.values():
        if "max_price_to_value" in draft.source.params:
            share: Any = draft.source.params["max_price_to_value"]
            if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share < 1:
                faults.add(f"{draft.at}.params.max_price_to_value", "a share of the value, such as 0.03")
                break
            return Limits(float(share), patterns)
    return Limits(owner_patterns=patterns)


def _rule(draft: _Draft, file: RulesFile, faults: FaultList) -> Rule | None:
    source, at = draft.source, draft.at
    reader = ConditionReader(dict(source.params), f"{at}.params", file.forbidden_inputs, faults)
    when = reader.read(source.when, f"{at}.when")
    unless = reader.read(source.unless, f"{at}.unless") if source.unless else None
    stage = _stage(source, when, unless, at, faults)
    severity = _severity(source.severity or "disqualify", stage, at, faults)
    softer = _softer(source, severity, at, faults)
    if when is None or stage is None or severity is None:
        return None
    return Rule(source.code, stage, severity, source.enabled, when, unless, softer, source.why)


def _stage(
    source: RuleSource, when: Condition | None, unless: Condition | None, at: str, faults: FaultList
) -> Stage | None:
    of_record = [
        field for condition in (when, unless) if condition for field in _fields(condition) if field not in LEAD_FIELDS
    ]
    stage = source.stage or ("property" if of_record else "address")
    if stage not in STAGES:
        faults.add(f"{at}.stage", unknown("stage", stage, STAGES))
        return None
    if stage == "address" and of_record:
        faults.add(f"{at}.stage", f"{of_record[0]} is not known before the look-up")
    return stage


def _fields(condition: Condition) -> list[str]:
    if isinstance(condition, KnownFewerThan):
        return [source for source, _ in condition.sources]
    return [leaf.source for leaf in leaves(condition)]


def _severity(severity: str, stage: Stage | None, at: str, faults: FaultList) -> Severity | None:
    if severity not in SEVERITIES:
        faults.add(f"{at}.severity", unknown("severity", severity, SEVERITIES))
        return None
    for only, at_stage in (("no_address", "address"), ("no_match", "lookup")):
        if severity == only and stage not in (at_stage, None):
            faults.add(f"{at}.severity", f"{only} belongs to stage {at_stage}")
    return severity


def _softer(source: RuleSource, severity: Severity | None, at: str, faults: FaultList) -> Severity | None:
    if source.downgrade_to is None or not source.unless:
        if source.downgrade_to is not None and source.unless is None:
            faults.add(f"{at}.downgrade_to", "softens a hit when `unless` holds: there is no unless")
        return None
    if source.downgrade_to not in SEVERITIES:
        faults.add(f"{at}.downgrade_to", unknown("severity", source.downgrade_to, SEVERITIES))
        return None
    if severity and _milder(severity, source.downgrade_to):
        faults.add(f"{at}.downgrade_to", f"softens a hit: it cannot be worse than {severity}")
    return source.downgrade_to
