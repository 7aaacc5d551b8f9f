"""From a record to custom fields: what is written, what is left alone, what is blanked."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from leadenrich.config import MappingEntry
from leadenrich.core.job import Outcome
from leadenrich.core.lead import FieldValue
from leadenrich.enrich.mapping import DATA_TYPES, FieldMapping, compile_mapping
from leadenrich.enrich.record import PropertyRecord
from leadenrich.enrich.rules import Hit, RuleSet, Verdict, compile_rules

Sample = Callable[[str], dict[str, Any]]
Judge = Callable[..., Verdict]
Fields = Callable[..., dict[str, FieldValue]]

DATA = Path(__file__).parents[1] / "data"
EXPECTED = msgspec.json.decode((DATA / "expected_fields.sfr_clean.json").read_bytes())["fields"]


@pytest.fixture(scope="module")
def rules() -> RuleSet:
    return compile_rules("standard", [])


@pytest.fixture(scope="module")
def mapping() -> FieldMapping:
    return compile_mapping("standard", {})


@pytest.fixture
def fields_of(rules: RuleSet, judge: Judge, now: datetime) -> Fields:
    """The fields of an answer; keyword arguments are entries of `[mapping]`."""

    def run(answer: dict[str, Any], **entries: MappingEntry) -> dict[str, FieldValue]:
        verdict = judge(rules, answer)
        return compile_mapping("standard", entries).fields(PropertyRecord(answer), verdict, now)

    return run


@pytest.mark.parametrize("name", ["sfr_clean", "numbers_as_strings", "last_sale_snake_key", "unknown_fields"])
def test_the_baseline_maps_exactly(name: str, sample: Sample, fields_of: Fields) -> None:
    """Compared as JSON: 3 and 3.0 are not the same to a CRM."""
    assert msgspec.json.encode(fields_of(sample(name))) == msgspec.json.encode(EXPECTED)


def test_a_missing_value_writes_nothing_and_a_stale_one_is_blanked(sample: Sample, fields_of: Fields) -> None:
    assert fields_of(sample("sparse_nulls")) == {
        "enrichment_status": "REVIEW",
        "enriched_at": "2026-11-23",
        "disqualified": "No",
        "disqualify_reasons": "INSUFFICIENT_DATA",
        "property_data_id": "190000001",
        "county": "Sangamon",
        "property_address_matched": "742 Evergreen Ter, Springfield, IL 62704",
        "mortgage_balance": "",
        "mortgage_payment": "",
        "lender_name": "",
        "mls_status": "Off Market",
        "mls_active": "No",
        "mls_list_price": "",
        "mls_list_date": "",
        "mls_days_on_market": "",
        "foreclosure_active": "No",
        "auction_date": "",
        "tax_delinquent_year": "",
        "deal_signals": "",
    }


@pytest.mark.parametrize(
    ("name", "some"),
    [
        ("free_clear", {"mortgage_balance": 0, "mortgage_payment": 0, "lender_name": "", "free_and_clear": "Yes"}),
        ("negative_equity", {"estimated_equity": -30500, "equity_percent": -12, "deal_signals": "Negative Equity"}),
        ("mls_active", {"mls_status": "Listed", "mls_active": "Yes", "mls_list_price": 359900}),
        ("mls_rental_suspect", {"mls_status": "Rental Listing", "disqualified": "No", "disqualify_reasons": ""}),
        ("mls_pending", {"mls_status": "Pending", "disqualified": "Yes", "disqualify_reasons": "MLS_PENDING"}),
        ("preforeclosure_auction", {"auction_date": "2026-12-18", "foreclosure_active": "Yes"}),
        ("recent_sale", {"disqualify_reasons": "RECENT_SALE,OWNER_MISMATCH", "years_owned": 0.7}),
        ("zip_without_leading_zero", {"property_address_matched": "17 Sample Pass, Willowbrook, NJ 08046"}),
        ("corporate_owned", {"owner_mailing_address": "873 E 3rd St, Exampleton, FL 34223"}),
        ("inherited_tax_delinquent", {"tax_delinquent_year": 2024, "inherited": "Yes"}),
        ("condo_unit", {"property_address_matched": "18 Lakeview Ct Apt 5B, Springfield, IL 62703"}),
    ],
)
def test_what_the_other_samples_show(name: str, some: dict[str, FieldValue], sample: Sample, fields_of: Fields) -> None:
    fields = fields_of(sample(name))
    assert {key: fields.get(key) for key in some} == some


def test_a_price_of_zero_is_no_price(sample: Sample, fields_of: Fields) -> None:
    fields = fields_of(sample("recent_transfer_non_arms_length"))
    assert "last_sale_price" not in fields
    assert fields["last_sale_date"] == "2026-05-15"


def test_taxes_in_cents_are_not_taken_for_dollars(sample: Sample, fields_of: Fields) -> None:
    on = MappingEntry(enabled=True)
    assert "annual_tax" not in fields_of(sample("sfr_clean"))
    assert fields_of(sample("sfr_clean"), annual_tax=on)["annual_tax"] == 7421.36
    assert "annual_tax" not in fields_of(sample("tax_in_cents"), annual_tax=on)
    as_text = sample("tax_in_cents")
    as_text["data"]["taxInfo"]["taxAmount"] = "742136"
    assert "annual_tax" not in fields_of(as_text, annual_tax=on)


@pytest.mark.parametrize(("year", "written"), [(1962, 1962), ("2027", 2027), (2028, None), (1699, None), (0, None)])
def test_years_are_plausible(year: Any, written: int | None, sample: Sample, fields_of: Fields) -> None:
    answer = sample("sfr_clean")
    answer["data"]["propertyInfo"]["yearBuilt"] = year
    assert fields_of(answer).get("year_built") == written


def test_who_the_lead_is_was_told_to_the_rules(sample: Sample, fields_of: Fields) -> None:
    on = MappingEntry(enabled=True)
    assert fields_of(sample("sfr_clean"), lead_is_owner=on)["lead_is_owner"] == "MATCH"
    assert fields_of(sample("recent_sale"), lead_is_owner=on)["lead_is_owner"] == "NO_MATCH"


class TestWithoutARecord:
    """Only what is ours is written: the status, its date, the reasons."""

    @pytest.mark.parametrize("outcome", [Outcome.NO_MATCH, Outcome.NO_ADDRESS])
    def test_nobody_knows_whether_it_is_disqualified(
        self, outcome: Outcome, mapping: FieldMapping, now: datetime
    ) -> None:
        assert mapping.fields(None, Verdict(outcome), now) == {
            "enrichment_status": outcome.value,
            "enriched_at": "2026-11-23",
            "disqualify_reasons": "",
        }

    def test_nothing_is_taken_from_another_houses_record(self, sample: Sample, fields_of: Fields) -> None:
        fields = fields_of(sample("address_mismatch"))
        assert fields == {"enrichment_status": "NO_MATCH", "enriched_at": "2026-11-23", "disqualify_reasons": ""}

    def test_a_lead_out_of_area_is_told_before_any_purchase(self, mapping: FieldMapping, now: datetime) -> None:
        verdict = Verdict(Outcome.DISQUALIFIED, (Hit("OUT_OF_AREA", "disqualify", ""),))
        assert mapping.fields(None, verdict, now) == {
            "enrichment_status": "DISQUALIFIED",
            "enriched_at": "2026-11-23",
            "disqualified": "Yes",
            "disqualify_reasons": "OUT_OF_AREA",
        }

    def test_a_failure_is_a_status_alone(self, mapping: FieldMapping) -> None:
        assert mapping.status("FAILED") == {"enrichment_status": "FAILED"}
        assert compile_mapping("classic", {}).status("FAILED") == {}


class TestOverrides:
    def test_given_members_change_the_field_and_the_others_stay(self, sample: Sample, fields_of: Fields) -> None:
        answer = sample("sfr_clean")
        fields = fields_of(
            answer,
            lender_name=MappingEntry(enabled=False),
            county=MappingEntry(source="data.propertyInfo.address.jurisdiction"),
            estimated_value=MappingEntry(data_type="TEXT", transform="number"),
        )
        assert "lender_name" not in fields
        assert fields["county"] == "Springfield"
        assert fields["estimated_value"] == "342000"
        assert {key: fields[key] for key in fields.keys() - {"county", "estimated_value"}} == {
            key: EXPECTED[key] for key in EXPECTED.keys() - {"county", "estimated_value", "lender_name"}
        }

    def test_a_new_field_needs_only_its_source(self, sample: Sample, fields_of: Fields) -> None:
        entries = {
            "stories": MappingEntry(source="data.propertyInfo.stories"),
            "pool": MappingEntry(source=("data.propertyInfo.pool",)),
            "recorded_on": MappingEntry(source=("data.lastSale.recordingDate",)),
            "equity_left": MappingEntry(source="@equity_percent"),
            "contact.options": MappingEntry(source="data.propertyType", data_type="CHECKBOX"),
        }
        fields = fields_of(sample("sfr_clean"), **entries)
        assert {key.removeprefix("contact."): fields[key.removeprefix("contact.")] for key in entries} == {
            "stories": 2,
            "pool": "No",
            "recorded_on": "2012-10-19",
            "equity_left": 71,
            "options": ["SFR"],
        }

    def test_setup_sees_every_entry(self) -> None:
        mapping = compile_mapping("standard", {"year_of_roof": MappingEntry(source="data.propertyInfo.yearBuilt")})
        own = mapping.entries[-1]
        assert (own.key, own.name, own.data_type, own.enabled) == ("year_of_roof", "Year Of Roof", "NUMERICAL", True)
        assert len(mapping.entries) == 55
        assert sum(entry.enabled for entry in mapping.entries) == 48


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_whatever_comes_the_crm_can_take(
    data: st.DataObject, sample: Sample, rules: RuleSet, judge: Judge, now: datetime
) -> None:
    """No NaN, no null, no 3.0, no list where a text is expected."""
    answer = sample("preforeclosure_auction")
    junk = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
        max_leaves=4,
    )
    for part in ("data", "ownerInfo", "propertyInfo", "lotInfo", "taxInfo", "lastSale", "auctionInfo"):
        node = answer["data"] if part == "data" else answer["data"][part]
        for key in data.draw(st.lists(st.sampled_from(sorted(node)), max_size=6)) if isinstance(node, dict) else ():
            if key not in ("ownerInfo", "propertyInfo", "lotInfo", "taxInfo", "lastSale", "auctionInfo"):
                node[key] = data.draw(junk)
    everything = {entry.key: MappingEntry(enabled=True) for entry in compile_mapping("standard", {}).entries}
    mapping = compile_mapping("standard", everything)
    fields = mapping.fields(PropertyRecord(answer), judge(rules, answer), now)
    types = {entry.key: entry.data_type for entry in mapping.entries}
    for key, value in fields.items():
        assert types[key] in DATA_TYPES
        if types[key] == "NUMERICAL" and value != "":
            assert isinstance(value, int | float)
            assert not isinstance(value, bool)
            assert math.isfinite(value)
            assert isinstance(value, int) or value != int(value)
        else:
            assert isinstance(value, str)
    msgspec.json.encode(fields)
