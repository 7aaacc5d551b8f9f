"""The rules: what each sample's verdict must be, what settings change, and that missing data never fires one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from leadenrich.config import RuleEntry
from leadenrich.core.address import NormalAddress
from leadenrich.core.job import Outcome
from leadenrich.enrich.comparisons import months_before
from leadenrich.enrich.names import LeadNames
from leadenrich.enrich.record import PropertyRecord
from leadenrich.enrich.rules import Hit, RuleSet, Verdict, compile_rules

Sample = Callable[[str], dict[str, Any]]
Judge = Callable[..., Verdict]

DATA = Path(__file__).parents[1] / "data"
ROWS = [
    row
    for row in msgspec.json.decode((DATA / "samples.index.json").read_bytes())["samples"]
    if row["file"].startswith("samples/property_detail.200.")
]
NAMES = [row["file"].removeprefix("samples/property_detail.200.").removesuffix(".json") for row in ROWS]
SPRINGFIELD = NormalAddress("742", "EVERGREEN TER", "", "SPRINGFIELD", "IL", "62704")


@pytest.fixture(scope="module")
def rules() -> RuleSet:
    return compile_rules("standard", [])


def with_rule(**members: Any) -> RuleSet:
    return compile_rules("standard", [RuleEntry(**members)])


@pytest.mark.parametrize("name", [name for name in NAMES if name != "empty_data"])
def test_every_sample_gets_its_verdict(name: str, rules: RuleSet, sample: Sample, judge: Judge) -> None:
    row = ROWS[NAMES.index(name)]
    verdict = judge(rules, sample(name))
    assert verdict.outcome == row["expected_default_outcome"]
    assert list(verdict.codes) == row["expected_default_codes"]


def test_there_are_samples() -> None:
    assert len(NAMES) >= 29


def test_the_worst_hit_decides_and_all_are_told_in_file_order(rules: RuleSet, sample: Sample, judge: Judge) -> None:
    answer = sample("mls_active")
    answer["data"] |= {"equityPercent": 5, "mobileHome": True}
    verdict = judge(rules, answer, lead_names=LeadNames("Pat", "Other"), duplicate=True)
    assert verdict.outcome is Outcome.DISQUALIFIED
    assert verdict.codes == ("DUPLICATE_LEAD", "MLS_ACTIVE", "MOBILE_HOME", "LOW_EQUITY", "OWNER_MISMATCH")
    assert verdict.dq_codes == ("MLS_ACTIVE", "MOBILE_HOME", "LOW_EQUITY")
    assert verdict.reason_codes == verdict.codes
    assert rules.tags_for(verdict) == ("DQ_MLS_ACTIVE", "DQ_MOBILE_HOME", "DQ_LOW_EQUITY")


def test_info_is_told_but_is_no_reason(rules: RuleSet, sample: Sample, judge: Judge) -> None:
    verdict = judge(rules, sample("mls_rental_suspect"))
    assert verdict.hits == (Hit("RENTAL_LISTING", "info", "listed for rent; a landlord can still be a seller"),)
    assert verdict.reason_codes == ()
    assert rules.tags_for(verdict) == ("QUALIFIED",)


def test_distress_softens_low_equity(rules: RuleSet, sample: Sample, judge: Judge) -> None:
    verdict = judge(rules, sample("preforeclosure_auction"))
    assert [(hit.code, hit.severity) for hit in verdict.hits] == [("LOW_EQUITY", "review")]
    assert rules.tags_for(verdict) == ("REVIEW",)


def test_nothing_is_judged_by_another_houses_record(rules: RuleSet, sample: Sample, judge: Judge) -> None:
    """The matcher is fuzzy: what it says of the neighbour must not tag the lead."""
    answer = sample("address_mismatch")
    answer["data"] |= {"mlsActive": True, "equityPercent": 1}
    verdict = judge(rules, answer, duplicate=True)
    assert verdict.codes == ("DUPLICATE_LEAD", "ADDRESS_MISMATCH")
    assert verdict.outcome is Outcome.NO_MATCH
    assert rules.tags_for(verdict) == ("ENRICH_NO_MATCH",)


@pytest.mark.parametrize("missing", ["house", "zip"])
def test_an_address_the_record_does_not_tell_does_not_differ(
    missing: str, rules: RuleSet, sample: Sample, judge: Judge
) -> None:
    answer = sample("sfr_clean")
    del answer["data"]["propertyInfo"]["address"][missing]
    assert judge(rules, answer).outcome is Outcome.QUALIFIED


def test_a_house_number_in_the_line_differs_too(rules: RuleSet, sample: Sample, judge: Judge) -> None:
    answer = sample("address_mismatch")
    del answer["data"]["propertyInfo"]["address"]["house"]
    assert judge(rules, answer).codes == ("ADDRESS_MISMATCH",)


class TestBeforeTheLookup:
    @pytest.mark.parametrize("code", ["ADDRESS_MISSING", "ADDRESS_INCOMPLETE", "ADDRESS_PO_BOX", "ADDRESS_NOT_US"])
    @pytest.mark.parametrize("preset", ["standard", "classic"])
    def test_an_address_that_cannot_be_bought(self, preset: str, code: str) -> None:
        rules = compile_rules(preset, [])
        verdict = rules.judge_address(None, code, duplicate=False)
        assert (verdict.outcome, verdict.codes) == (Outcome.NO_ADDRESS, (code,))
        assert verdict.hits[0].why
        assert len(rules.tags_for(verdict)) == 1

    def test_a_code_no_rule_knows_stands_too(self, rules: RuleSet) -> None:
        verdict = rules.judge_address(SPRINGFIELD, "ADDRESS_REFUSED", duplicate=False)
        assert (verdict.outcome, verdict.codes) == (Outcome.NO_ADDRESS, ("ADDRESS_REFUSED",))

    def test_a_good_address_passes(self, rules: RuleSet) -> None:
        assert rules.judge_address(SPRINGFIELD, None, duplicate=False).outcome is Outcome.QUALIFIED

    def test_a_duplicate_is_looked_at(self, rules: RuleSet) -> None:
        verdict = rules.judge_address(SPRINGFIELD, None, duplicate=True)
        assert (verdict.outcome, verdict.codes) == (Outcome.REVIEW, ("DUPLICATE_LEAD",))

    def test_an_own_rule_reads_the_leads_address(self) -> None:
        rules = with_rule(code="NO_ILLINOIS", when={"field": "lead.state", "op": "in", "value": ["IL"]})
        assert rules.rules[-1].stage == "address"
        assert rules.judge_address(SPRINGFIELD, None, duplicate=False).codes == ("NO_ILLINOIS",)
        assert rules.judge_address(None, None, duplicate=False).codes == ()


class TestDuplicates:
    def test_the_days_come_from_the_rule(self, rules: RuleSet) -> None:
        assert rules.duplicate_days == 60
        assert with_rule(code="DUPLICATE_LEAD", params={"days": 7}).duplicate_days == 7

    def test_off_nobody_asks(self) -> None:
        rules = with_rule(code="DUPLICATE_LEAD", enabled=False)
        assert rules.duplicate_days is None
        assert rules.judge_address(SPRINGFIELD, None, duplicate=True).codes == ()
        assert compile_rules("classic", []).duplicate_days is None


class TestArea:
    @pytest.mark.parametrize(
        ("params", "out"),
        [
            ({"states": ["TX", "mo"]}, True),
            ({"states": ["il"]}, False),
            ({"zips": ["62704"]}, False),
            ({"zips": ["62703"]}, True),
            ({"zip_prefixes": ["627"]}, False),
            ({"zip_prefixes": ["60", "61"]}, True),
            ({"states": ["TX"], "zips": ["62704"]}, False),
            ({"states": ["IL"], "zips": ["99999"]}, False),
            ({"counties": ["Cook"]}, False),
            ({"states": ["TX"], "counties": ["Sangamon"]}, True),
        ],
    )
    def test_state_and_zip_are_checked_before_the_lookup(self, params: dict[str, Any], out: bool) -> None:
        verdict = with_rule(code="OUT_OF_AREA", params=params).judge_address(SPRINGFIELD, None, duplicate=False)
        assert verdict.codes == (("OUT_OF_AREA",) if out else ())
        assert verdict.outcome is (Outcome.DISQUALIFIED if out else Outcome.QUALIFIED)

    @pytest.mark.parametrize(
        ("counties", "out"),
        [
            (["Cook"], True),
            (["sangamon county"], False),
            (["Cook", "Sangamon, IL"], False),
            (["Sangamon, MO"], True),
        ],
    )
    def test_the_county_is_checked_after_it(self, counties: list[str], out: bool, sample: Sample, judge: Judge) -> None:
        rules = with_rule(code="OUT_OF_AREA", params={"counties": counties})
        assert judge(rules, sample("sfr_clean")).codes == (("OUT_OF_AREA",) if out else ())

    def test_an_unknown_county_is_not_outside(self, sample: Sample, judge: Judge) -> None:
        answer = sample("sfr_clean")
        del answer["data"]["propertyInfo"]["address"]["county"]
        assert judge(with_rule(code="OUT_OF_AREA", params={"counties": ["Cook"]}), answer).codes == ()

    def test_a_neighbours_county_is_not_the_leads(self, sample: Sample, judge: Judge) -> None:
        rules = with_rule(code="OUT_OF_AREA", params={"counties": ["Cook"]})
        assert judge(rules, sample("address_mismatch")).codes == ("ADDRESS_MISMATCH",)

    def test_without_zip_the_zips_cannot_tell(self) -> None:
        rules = with_rule(code="OUT_OF_AREA", params={"zips": ["62704"]})
        address = NormalAddress("742", "EVERGREEN TER", "", "SPRINGFIELD", "IL", "")
        assert rules.judge_address(address, None, duplicate=False).codes == ()

    def test_a_filled_list_switches_it_on_unless_it_is_said(self) -> None:
        [on] = [rule for rule in with_rule(code="OUT_OF_AREA", params={"states": ["TX"]}).rules if "AREA" in rule.code]
        assert on.enabled
        off = with_rule(code="OUT_OF_AREA", params={"states": ["TX"]}, enabled=False)
        assert off.judge_address(SPRINGFIELD, None, duplicate=False).codes == ()


class TestRecentSale:
    @pytest.mark.parametrize(
        ("day", "hit"),
        [("2024-11-23", True), ("2024-11-22", False), ("2026-11-24", True), ("2062-10-12", False), ("soon", False)],
    )
    def test_within_the_months(self, day: str, hit: bool, rules: RuleSet, sample: Sample, judge: Judge) -> None:
        answer = sample("sfr_clean")
        answer["data"]["lastSaleDate"] = day
        answer["data"]["lastSale"] = {"armsLength": True}
        assert judge(rules, answer).codes == (("RECENT_SALE",) if hit else ())

    @pytest.mark.parametrize("since", ["2026-03-05", "2026-03-04"])
    def test_a_fixed_date_replaces_the_months(self, since: str, sample: Sample, judge: Judge) -> None:
        rules = with_rule(code="RECENT_SALE", params={"on_or_after": since})
        codes = judge(rules, sample("recent_sale")).codes
        assert ("RECENT_SALE" in codes) is (since == "2026-03-04")

    def test_months_end_where_the_month_ends(self) -> None:
        day = datetime(2026, 3, 31, tzinfo=UTC).date()
        assert months_before(day, 1).isoformat() == "2026-02-28"
        assert months_before(day, 25).isoformat() == "2024-02-29"
        assert months_before(day, 12_000).isoformat() == "1026-03-31"


class TestOverrides:
    def test_a_param_changes_the_threshold_alone(self, sample: Sample, judge: Judge) -> None:
        rules = with_rule(code="LOW_EQUITY", params={"percent": 80})
        assert judge(rules, sample("sfr_clean")).codes == ("LOW_EQUITY",)
        assert judge(rules, sample("preforeclosure_auction")).outcome is Outcome.REVIEW

    def test_the_share_of_a_rental_is_one_truth_for_all(self, sample: Sample, judge: Judge) -> None:
        rules = with_rule(code="RENTAL_LISTING", params={"max_price_to_value": 0.001})
        verdict = judge(rules, sample("mls_rental_suspect"))
        assert verdict.codes == ("MLS_ACTIVE",)
        assert verdict.limits.max_price_to_value == 0.001

    def test_severity_off_and_unless(self, sample: Sample, judge: Judge) -> None:
        review = with_rule(code="MLS_ACTIVE", severity="review")
        assert judge(review, sample("mls_active")).outcome is Outcome.REVIEW
        off = with_rule(code="MLS_ACTIVE", enabled=False)
        assert judge(off, sample("mls_active")).codes == ()
        stern = with_rule(code="MLS_ACTIVE", unless={})
        assert "MLS_ACTIVE" in judge(stern, sample("mls_rental_suspect")).codes

    @pytest.mark.parametrize("severity", ["review", "info"])
    def test_a_rule_made_milder_is_not_made_worse_by_its_softening(
        self, severity: str, sample: Sample, judge: Judge
    ) -> None:
        rules = with_rule(code="LOW_EQUITY", severity=severity)
        for name in ("low_equity", "preforeclosure_auction"):
            assert [hit.severity for hit in judge(rules, sample(name)).hits] == [severity]

    def test_the_order_of_the_file_stays_and_new_rules_come_last(self) -> None:
        own = RuleEntry(code="POOL", when={"field": "data.propertyInfo.pool", "op": "is_true"}, severity="info")
        before = [rule.code for rule in compile_rules("standard", []).rules]
        after = [rule.code for rule in compile_rules("standard", [own, RuleEntry(code="CONDO", enabled=True)]).rules]
        assert after == [*before, "POOL"]

    def test_classic_borrows_a_standard_rule_by_its_code(self, sample: Sample, judge: Judge) -> None:
        rules = compile_rules("classic", [RuleEntry(code="LOW_EQUITY", params={"percent": 15})])
        assert judge(rules, sample("low_equity")).codes == ("LOW_EQUITY",)

    @pytest.mark.parametrize(
        ("when", "holds"),
        [
            ({"field": "data.propertyType", "op": "eq", "value": "SFR"}, True),
            ({"field": "data.propertyType", "op": "ne", "value": "SFR"}, False),
            ({"field": "data.propertyType", "op": "in_ci", "value": ["sfr"]}, True),
            ({"field": "data.propertyInfo.propertyUseCode", "op": "eq", "value": "385"}, True),
            ({"field": "data.propertyInfo.address.zip", "op": "eq", "value": 62704}, True),
            ({"field": "data.vacant", "op": "eq", "value": False}, True),
            ({"field": "data.vacant", "op": "is_not_true"}, True),
            ({"field": "data.lotInfo.zoning", "op": "contains_ci", "value": "r-"}, True),
            ({"field": "@deal_signals", "op": "contains_ci", "value": "high equity"}, True),
            ({"field": "@deal_signals", "op": "contains_ci", "value": "auction"}, False),
            ({"field": "data.estimatedValue", "op": "le", "value": 342_000}, True),
            ({"field": "data.estimatedValue", "op": "gt", "value": 342_000}, False),
            ({"field": "data.estimatedValue", "op": "ge", "value": 342_000}, True),
            ({"field": "data.lastSaleDate", "op": "before", "value": "2013-01-01"}, True),
            ({"field": "data.mlsListingDate", "op": "missing"}, True),
            ({"field": "data.lastSaleDate", "op": "present"}, True),
            ({"field": "data.currentMortgages.0.interestRate", "op": "lt", "value": 4}, True),
            ({"not": {"field": "data.ownerOccupied", "op": "is_true"}}, False),
            ({"not": {"field": "data.ownerOccupied", "op": "eq", "value": False}}, True),
        ],
    )
    def test_the_ops(self, when: dict[str, Any], holds: bool, sample: Sample, judge: Judge) -> None:
        rules = with_rule(code="OWN", when=when, severity="info")
        assert judge(rules, sample("sfr_clean")).codes == (("OWN",) if holds else ())

    @pytest.mark.parametrize(
        "when",
        [
            {"field": "data.mlsDaysOnMarket", "op": "lt", "value": 9},
            {"field": "data.mlsStatus", "op": "ne", "value": "Active"},
            {"field": "data.mlsListingDate", "op": "before", "value": "2030-01-01"},
            {"not": {"field": "data.mlsStatus", "op": "in", "value": ["Active"]}},
            {"not": {"all": [{"field": "data.mlsStatus", "op": "in", "value": ["A"]}]}},
            {
                "all": [
                    {"field": "data.ownerOccupied", "op": "is_true"},
                    {"not": {"field": "data.mlsStatus", "op": "eq", "value": "A"}},
                ]
            },
            {"not": {"field": "data.mlsKeywords.investorOwned", "op": "is_true"}},
        ],
    )
    def test_unknown_stays_unknown_through_not(self, when: dict[str, Any], sample: Sample, judge: Judge) -> None:
        assert judge(with_rule(code="OWN", when=when), sample("sfr_clean")).codes == ()


class TestTags:
    def test_all_that_may_be_ours(self, rules: RuleSet) -> None:
        assert {"QUALIFIED", "REVIEW", "ENRICH_NO_MATCH", "ENRICH_NO_ADDRESS"} <= rules.all_tags
        assert {"DQ_MLS_ACTIVE", "DQ_CONDO", "DQ_ACTIVE_LISTED"} <= rules.all_tags
        assert "DQ_OWN" in with_rule(code="OWN", when={"field": "data.vacant", "op": "is_true"}).all_tags

    def test_what_no_rule_of_classic_sets_is_not_taken_from_people(self) -> None:
        assert "REVIEW" not in compile_rules("classic", []).all_tags
        reviewing = compile_rules("classic", [RuleEntry(code="OWNER_MISMATCH")])
        assert "REVIEW" in reviewing.all_tags

    @pytest.mark.parametrize("outcome", list(Outcome))
    @pytest.mark.parametrize("preset", ["standard", "classic"])
    def test_every_tag_that_is_set_can_be_taken_away(self, preset: str, outcome: Outcome) -> None:
        rules = compile_rules(preset, [RuleEntry(code="OWNER_MISMATCH")])
        hits = tuple(Hit(rule.code, rule.severity, "") for rule in rules.rules)
        assert set(rules.tags_for(Verdict(outcome, hits))) <= rules.all_tags


def test_rules_explain_themselves(rules: RuleSet) -> None:
    told = "\n".join(rules.explain())
    assert "LOW_EQUITY (disqualifies): when equity in percent is below 20; unless pre foreclosure or auction" in told
    assert "CONDO" not in told
    assert any(line.startswith("Off: CONDO") for line in rules.explain(with_off=True))
    area = with_rule(code="OUT_OF_AREA", params={"states": ["TX"], "zip_prefixes": ["627"]})
    assert any("states TX; zips that begin with 627" in line for line in area.explain())


# What a clean record says when something is gone: too little, or what stands in its place.
HARMLESS = {"INSUFFICIENT_DATA"}


def leaf_paths(node: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path for key, value in inner for path in [(*at, key), *leaf_paths(value, (*at, key))]]


def mutate(answer: dict[str, Any], paths: list[tuple[Any, ...]], change: Callable[[Any, Any], None]) -> None:
    for path in paths:
        node: Any = answer
        try:
            for key in path[:-1]:
                node = node[key]
            node[path[-1]]
        except (KeyError, IndexError, TypeError):
            continue  # an earlier mutation took it away
        change(node, path[-1])


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_missing_data_never_fires_a_rule(data: st.DataObject, sample: Sample, judge: Judge) -> None:
    """Any part of a clean record may be absent or null: nothing but INSUFFICIENT_DATA follows."""
    answer = sample("sfr_clean")
    paths = data.draw(st.lists(st.sampled_from(leaf_paths(answer["data"], ("data",))), max_size=40))

    def gone(node: Any, key: Any) -> None:
        if isinstance(node, list) or data.draw(st.booleans()):
            node[key] = None
        else:
            del node[key]

    mutate(answer, paths, gone)
    rules = compile_rules("standard", [RuleEntry(code=code, enabled=True) for code in BUY_BOX])
    assert set(judge(rules, answer).codes) <= HARMLESS


BUY_BOX = ("NEGATIVE_EQUITY", "CORPORATE_OWNED", "MULTIFAMILY_5PLUS", "VALUE_BELOW_MIN", "VALUE_ABOVE_MAX", "CONDO")


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_record_breaks_a_rule(data: st.DataObject, sample: Sample, now: datetime) -> None:
    """Wrong types, numbers as text, lists for objects: a verdict comes out."""
    answer = sample(data.draw(st.sampled_from(["sfr_clean", "mls_active", "preforeclosure_auction", "recent_sale"])))
    junk = st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9), st.just([]), st.just({})
    )
    paths = data.draw(st.lists(st.sampled_from(leaf_paths(answer["data"], ("data",))), max_size=25))

    def spoil(node: Any, key: Any) -> None:
        old = node[key]
        node[key] = str(old) if data.draw(st.booleans()) else data.draw(junk)

    mutate(answer, paths, spoil)
    rules = compile_rules("standard", [])
    names = LeadNames(data.draw(st.text(max_size=8)), data.draw(st.text(max_size=8)))
    verdict = rules.judge(PropertyRecord(answer), lead_names=names, address=SPRINGFIELD, duplicate=False, now=now)
    assert set(verdict.codes) <= {rule.code for rule in rules.rules if rule.enabled}
