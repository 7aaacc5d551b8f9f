"""The shipped presets, and what is said when a setting laid over them is wrong."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from leadenrich.config import MappingEntry, RuleEntry
from leadenrich.core.lead import FieldValue
from leadenrich.enrich import presets
from leadenrich.enrich.faults import SettingFaults
from leadenrich.enrich.mapping import compile_mapping
from leadenrich.enrich.paths import known_paths
from leadenrich.enrich.record import PropertyRecord
from leadenrich.enrich.rules import Verdict, compile_rules

Sample = Callable[[str], dict[str, Any]]
Judge = Callable[..., Verdict]

VENDOR = Path(__file__).parents[2] / ".." / "shared" / "apis" / "realestateapi"
SHIPPED = Path(presets.__file__).parent

with_vendor = pytest.mark.skipif(not VENDOR.is_dir(), reason="the folder of the vendors' documents is not here")


class TestStandard:
    @with_vendor
    @pytest.mark.parametrize(
        ("shipped", "source"),
        [
            ("standard.mapping.json", "field_mapping.default.json"),
            ("standard.rules.json", "disqualification_rules.default.json"),
        ],
    )
    def test_it_is_the_documented_default(self, shipped: str, source: str) -> None:
        assert msgspec.json.decode((SHIPPED / shipped).read_bytes()) == msgspec.json.decode(
            (VENDOR / source).read_bytes()
        )

    def test_its_size(self) -> None:
        mapping, rules = compile_mapping("standard", {}), compile_rules("standard", [])
        assert (len(mapping.entries), sum(entry.enabled for entry in mapping.entries)) == (54, 47)
        assert (len(rules.rules), sum(rule.enabled for rule in rules.rules)) == (27, 18)

    @with_vendor
    def test_every_path_of_the_schema_is_known(self) -> None:
        schema = msgspec.json.decode((VENDOR / "property_detail.response.schema.json").read_bytes())
        assert set(schema_paths(schema, "")) <= known_paths().keys()

    def test_every_path_of_a_full_sample_is_known(self, sample: Sample) -> None:
        data = sample("preforeclosure_auction")["data"]
        assert {f"data.{key}" for key in data} <= known_paths().keys()


def schema_paths(schema: dict[str, Any], at: str) -> list[str]:
    inner = {f"{at}.{name}".strip("."): part for name, part in schema.get("properties", {}).items()}
    if "items" in schema:
        inner[f"{at}.*"] = schema["items"]
    return [path for name, part in inner.items() for path in [name, *schema_paths(part, name)]]


CLEAN = {
    "owner_name": "Alex Q Sample",
    "active_listed": "N",
    "last_listed_price": "",
    "last_listed_date": "",
    "last_sold_date": "2012-10-12",
    "mortgage_amount": 134400,
    "foreclosure_active": "N",
    "disqualify": "N",
    "disqualify_reasons": "",
}


class TestClassic:
    """The small original set."""

    @pytest.mark.parametrize(
        ("name", "changed", "tags"),
        [
            ("sfr_clean", {}, ("QUALIFIED",)),
            ("numbers_as_strings", {}, ("QUALIFIED",)),
            ("low_equity", {"last_sold_date": "2022-05-20"}, ("QUALIFIED",)),
            ("free_clear", {"mortgage_amount": 0}, ("QUALIFIED",)),
            ("preforeclosure_auction", {"foreclosure_active": "Y"}, ("QUALIFIED",)),
            ("mls_cancelled", {"last_listed_price": 365000, "last_listed_date": "2026-02-01"}, ("QUALIFIED",)),
            (
                "mls_active",
                {
                    "active_listed": "Y",
                    "last_listed_price": 359900,
                    "last_listed_date": "2026-10-30",
                    "disqualify": "Y",
                    "disqualify_reasons": "ACTIVE_LISTED",
                },
                ("DQ_ACTIVE_LISTED",),
            ),
            (
                "mls_rental_suspect",
                {"active_listed": "Y", "last_listed_price": 1950, "last_listed_date": "2026-11-01"},
                ("QUALIFIED",),
            ),
            (
                "recent_sale",
                {
                    "owner_name": "Pat Newowner",
                    "last_sold_date": "2026-03-04",
                    "disqualify": "Y",
                    "disqualify_reasons": "SOLD_AFTER_2022",
                },
                ("DQ_SOLD_AFTER_2022",),
            ),
        ],
    )
    def test_samples(
        self,
        name: str,
        changed: dict[str, FieldValue],
        tags: tuple[str, ...],
        sample: Sample,
        judge: Judge,
        now: datetime,
    ) -> None:
        rules, mapping = compile_rules("classic", []), compile_mapping("classic", {})
        verdict = judge(rules, sample(name))
        assert mapping.fields(PropertyRecord(sample(name)), verdict, now) == {**CLEAN, **changed}
        assert rules.tags_for(verdict) == tags

    def test_another_houses_record_is_no_match(self, sample: Sample, judge: Judge, now: datetime) -> None:
        rules = compile_rules("classic", [])
        verdict = judge(rules, sample("address_mismatch"))
        assert rules.tags_for(verdict) == ("ENRICH_NO_MATCH",)
        answer = PropertyRecord(sample("address_mismatch"))
        assert compile_mapping("classic", {}).fields(answer, verdict, now) == {"disqualify_reasons": ""}

    def test_the_newest_past_listing_stands_in(self, sample: Sample, judge: Judge, now: datetime) -> None:
        answer = sample("sfr_clean")
        answer["data"]["mlsHistory"] = [
            {"statusDate": "2019-05-01", "price": "1"},
            {"statusDate": "2021-05-01", "price": "250000"},
        ]
        verdict = judge(compile_rules("classic", []), answer)
        fields = compile_mapping("classic", {}).fields(PropertyRecord(answer), verdict, now)
        assert (fields["last_listed_price"], fields["last_listed_date"]) == (250000, "2021-05-01")

    def test_its_rules(self) -> None:
        assert [rule.code for rule in compile_rules("classic", []).rules] == [
            "ADDRESS_MISSING",
            "ADDRESS_INCOMPLETE",
            "ADDRESS_PO_BOX",
            "ADDRESS_NOT_US",
            "ADDRESS_MISMATCH",
            "ACTIVE_LISTED",
            "SOLD_AFTER_2022",
        ]

    @pytest.mark.parametrize(("day", "hit"), [("2022-12-31", False), ("2023-01-01", True)])
    def test_sold_after_2022(self, day: str, hit: bool, sample: Sample, judge: Judge) -> None:
        answer = sample("sfr_clean")
        answer["data"]["lastSaleDate"] = day
        assert judge(compile_rules("classic", []), answer).codes == (("SOLD_AFTER_2022",) if hit else ())


def faults_of(build: Callable[[], object]) -> list[tuple[str, str]]:
    with pytest.raises(SettingFaults) as caught:
        build()
    return list(caught.value.faults)


VACANT = {"field": "data.vacant", "op": "is_true"}


@pytest.mark.parametrize(
    ("key", "entry", "at", "message"),
    [
        ("county", {"transform": "txt"}, "mapping.county.transform", "unknown transform 'txt', did you mean 'text'?"),
        ("county", {"data_type": "NUMERIC"}, "mapping.county.data_type", "did you mean 'NUMERICAL'?"),
        ("county", {"data_type": "DATE"}, "mapping.county.data_type", "text gives a text, which DATE cannot hold"),
        ("apn", {"source": "data.lotInfo.apm"}, "mapping.apn.source", "did you mean 'data.lotInfo.apn'?"),
        ("apn", {"source": "@deal_signal"}, "mapping.apn.source", "did you mean '@deal_signals'?"),
        ("apn", {"source": ()}, "mapping.apn.source", "at least one source"),
        ("vacant", {"transform": "number"}, "mapping.vacant.transform", "number cannot read data.vacant: it is a flag"),
        ("bedrooms", {"transform": "yes_no"}, "mapping.bedrooms.transform", "it is a number"),
        ("new_one", {}, "mapping.new_one.source", "a new field needs a source"),
        ("New One", {"source": "data.id"}, "mapping.New One", "a-z, 0-9 and _ only"),
    ],
)
def test_faults_of_the_mapping(key: str, entry: dict[str, Any], at: str, message: str) -> None:
    faults = faults_of(lambda: compile_mapping("standard", {key: MappingEntry(**entry)}))
    assert at in [where for where, _ in faults]
    assert any(message in what for where, what in faults if where == at), faults


@pytest.mark.parametrize(
    ("entry", "at", "message"),
    [
        ({"code": "mls"}, "code", "'mls' is not a code"),
        (
            {"code": "MLS_ACTIV"},
            "code",
            "unknown rule 'MLS_ACTIV', did you mean 'MLS_ACTIVE'?; a new rule needs a when",
        ),
        ({"when": {**VACANT, "op": "is_tru"}}, "when.op", "unknown op 'is_tru', did you mean 'is_true'?"),
        ({"when": {"field": "data.vacant"}}, "when.op", "an op is needed"),
        ({"when": {"any": [VACANT, {**VACANT, "field": "data.vacent"}]}}, "when.any[1].field", "'data.vacant'?"),
        ({"when": {"field": 7, "op": "is_true"}}, "when.field", "a field is text"),
        ({"when": {**VACANT, "value": True}}, "when.value", "takes no value"),
        ({"when": {**VACANT, "valeu": True}}, "when.valeu", "did you mean 'value'?"),
        ({"when": {"fild": "data.vacant", "op": "is_true"}}, "when", "unknown member 'fild', did you mean 'field'?"),
        ({"when": {}}, "when", "a condition is a table"),
        ({"when": {"all": []}}, "when.all", "at least one"),
        ({"when": {"not": [VACANT]}}, "when.not", "a condition is a table"),
        ({"when": {"all": [VACANT], "any": [VACANT]}}, "when", "exactly one of"),
        ({"when": {"field": "data.vacant", "op": "lt", "value": 3}}, "when.op", "it is a flag"),
        ({"when": {"field": "data.estimatedValue", "op": "lt", "value": "many"}}, "when.value", "a number is needed"),
        ({"when": {"field": "data.estimatedValue", "op": "lt", "value": True}}, "when.value", "a number is needed"),
        ({"when": {"field": "data.estimatedValue", "op": "lt"}}, "when.value", "a value to compare with"),
        ({"when": {"field": "data.estimatedValue", "op": "eq", "value": "x"}}, "when.value", "'x' is none"),
        ({"when": {"field": "data.vacant", "op": "eq", "value": "yes"}}, "when.value", "true or false"),
        ({"when": {"field": "data.propertyType", "op": "eq", "value": ["SFR"]}}, "when.value", "a text or a number"),
        ({"when": {"field": "data.propertyType", "op": "in", "value": "SFR"}}, "when.value", "a list of values"),
        ({"when": {"field": "data.propertyType", "op": "contains_ci", "value": " "}}, "when.value", "a text is needed"),
        ({"when": {"field": "data.lastSaleDate", "op": "before", "value": "2023"}}, "when.value", "a date is needed"),
        ({"when": {"field": "data.lastSaleDate", "op": "within_months", "value": 0}}, "when.value", "whole number"),
        ({"when": {"field": "data.propertyType", "op": "within_months", "value": 1}}, "when.op", "it is a text"),
        ({"when": {"field": "lead.city", "op": "po_box"}}, "when.op", "compares 'lead.address' only"),
        ({"when": {"known_fewer_than": 0, "of": ["data.id"]}}, "when.known_fewer_than", "at least 1"),
        ({"when": {"known_fewer_than": 1, "of": []}}, "when.of", "a list of fields"),
        ({"when": {"known_fewer_than": 1, "of": ["data.ids"]}}, "when.of[0]", "did you mean 'data.id'?"),
        ({"when": VACANT, "stage": "adress"}, "stage", "did you mean 'address'?"),
        ({"when": VACANT, "stage": "address"}, "stage", "data.vacant is not known before the look-up"),
        ({"when": VACANT, "severity": "reviw"}, "severity", "did you mean 'review'?"),
        ({"when": VACANT, "severity": "no_match"}, "severity", "belongs to stage lookup"),
        ({"when": VACANT, "downgrade_to": "info"}, "downgrade_to", "there is no unless"),
        (
            {"when": VACANT, "severity": "review", "unless": VACANT, "downgrade_to": "disqualify"},
            "downgrade_to",
            "cannot be worse than review",
        ),
        ({"code": "LOW_EQUITY", "params": {"percentage": 3}}, "params.percentage", "did you mean 'percent'?"),
        ({"code": "LOW_EQUITY", "params": {"percent": "3"}}, "params.percent", "a number is needed"),
        ({"code": "RECENT_SALE", "params": {"on_or_after": "lately"}}, "params.on_or_after", "a date is needed"),
        ({"code": "DUPLICATE_LEAD", "params": {"days": 0.5}}, "params.days", "whole number of days"),
        ({"code": "RENTAL_LISTING", "params": {"max_price_to_value": 3}}, "params.max_price_to_value", "a share"),
        ({"code": "OUT_OF_AREA", "params": {"states": ["Texas"]}}, "params.states", "two letters"),
        ({"code": "OUT_OF_AREA", "params": {"zips": [62704]}}, "params.zips", "texts, in quotes"),
        ({"code": "OUT_OF_AREA", "params": {"zips": ["6270"]}}, "params.zips", "five digits"),
        ({"code": "OUT_OF_AREA", "params": {"zip_prefixes": ["x"]}}, "params.zip_prefixes", "beginning of a zip"),
        ({"code": "ADDRESS_MISSING", "enabled": False}, "enabled", "no call can be made"),
        ({"code": "ADDRESS_PO_BOX", "severity": "review"}, "severity", "no call can be made"),
    ],
)
def test_faults_of_the_rules(entry: dict[str, Any], at: str, message: str) -> None:
    faults = faults_of(lambda: compile_rules("standard", [RuleEntry(**{"code": "OWN", **entry})]))
    assert any(where == f"rules[0].{at}" and message in what for where, what in faults), faults


@pytest.mark.parametrize(
    "field",
    [
        "data.demographics.medianIncome",
        "data.Demographics",
        "data.schools.0.rating",
        "persons[].age",
        "persons.0.ethnicityCode",
        "data.ownerInfo.gender",
        "data.religion",
    ],
)
@pytest.mark.parametrize("wrap", ["field", "of", "not", "unless"])
def test_rules_may_not_choose_people(field: str, wrap: str) -> None:
    """Fair housing: refused wherever the rule reads it."""
    leaf: dict[str, Any] = {"field": field, "op": "present"}
    when, unless = {"field": leaf, "of": {"known_fewer_than": 1, "of": [field]}, "not": {"not": leaf}}.get(wrap), None
    if wrap == "unless":
        when, unless = VACANT, leaf
    faults = faults_of(lambda: compile_rules("standard", [RuleEntry(code="OWN", when=when, unless=unless)]))
    [(_, message)] = faults
    assert field in message
    assert "fair-housing" in message


def test_all_faults_are_told_at_once() -> None:
    entries = [
        RuleEntry(code="LOW_EQUITY", params={"percent": "20"}),
        RuleEntry(code="A", when={"all": [{"field": "data.x", "op": "y"}, {"field": "data.vacant", "op": "z"}]}),
        RuleEntry(code="LOW_EQUITY", enabled=False),
    ]
    faults = faults_of(lambda: compile_rules("standard", entries))
    assert [where for where, _ in faults] == [
        "rules[2].code",
        "rules[0].params.percent",
        "rules[1].when.all[0].field",
        "rules[1].when.all[0].op",
        "rules[1].when.all[1].op",
    ]


def test_conditions_cannot_be_bottomless() -> None:
    when: dict[str, Any] = VACANT
    for _ in range(60):
        when = {"not": when}
    [(_, message)] = faults_of(lambda: compile_rules("standard", [RuleEntry(code="OWN", when=when)]))
    assert message == "conditions nested too deep"


@pytest.mark.parametrize("compiler", [lambda: compile_mapping("clasic", {}), lambda: compile_rules("clasic", [])])
def test_an_unknown_preset(compiler: Callable[[], object]) -> None:
    assert faults_of(compiler) == [("enrichment.preset", "unknown preset 'clasic', did you mean 'classic'?")]
