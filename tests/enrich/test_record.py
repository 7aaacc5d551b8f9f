"""A record is read with patience: each trap of the vendor's data has its test."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from hypothesis import given, strategies as st

from leadenrich.core.lead import Json
from leadenrich.enrich.derived import DERIVED, Limits, Reading
from leadenrich.enrich.names import LeadNames, owner_match
from leadenrich.enrich.record import (
    PropertyRecord,
    address_line,
    as_day,
    as_flag,
    as_number,
    as_text,
    as_zip5,
    rounded,
)
from leadenrich.enrich.rules import compile_rules

Sample = Callable[[str], dict[str, Any]]
TODAY = date(2026, 11, 23)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


def reading(data: dict[str, Any], *, names: LeadNames | None = None) -> Reading:
    return Reading(PropertyRecord({"data": data}), TODAY, names or LeadNames(), compile_rules("standard", []).limits)


@pytest.mark.parametrize(
    ("raw", "number"),
    [
        ("168000", 168000),
        ("$1,234.50", 1234.5),
        ("-30500", -30500),
        (3.0, 3),
        ("3.0", 3),
        (0, 0),
        ("0", 0),
        (".5", 0.5),
        ("1e3", 1000),
        ("", None),
        ("  ", None),
        ("NaN", None),
        ("inf", None),
        (math.nan, None),
        (math.inf, None),
        ("1_000", None),
        ("12 Main", None),
        ("٣", None),
        (True, None),
        (10**30, None),
        ([1], None),
    ],
)
def test_numbers_come_as_numbers_or_as_text(raw: Json, number: float | None) -> None:
    read = as_number(raw)
    assert read == number
    assert type(read) is type(number)


@pytest.mark.parametrize(
    ("raw", "day"),
    [
        ("2026-11-02", date(2026, 11, 2)),
        ("2042-11-01T00:00:00.000Z", date(2042, 11, 1)),
        ("2026-11-02 00:00:00 UTC", date(2026, 11, 2)),
        ("0000-00-00", None),
        ("2026-13-01", None),
        ("0001-01-01", None),
        ("20261102", None),
        ("2026-W10-1", None),
        ("", None),
        (20261102, None),
    ],
)
def test_dates_are_their_first_ten_characters(raw: Json, day: date | None) -> None:
    assert as_day(raw) == day


@pytest.mark.parametrize(
    ("raw", "zip5"),
    [
        ("62704", "62704"),
        ("8046", "08046"),
        (8046, "08046"),
        ("601", "00601"),
        ("62704-1101", "62704"),
        ("627041101", "62704"),
        ("80461101", "08046"),
        ("", None),
        ("Il", None),
        (None, None),
    ],
)
def test_a_zip_gets_its_zeros_back(raw: Json, zip5: str | None) -> None:
    assert as_zip5(raw) == zip5


@pytest.mark.parametrize("raw", [1, "1", "true", "Yes", 0, None, "", []])
def test_only_true_and_false_are_flags(raw: Json) -> None:
    assert as_flag(raw) is None


def test_rounding_is_the_one_people_learn() -> None:
    assert [rounded(0.5), rounded(1.5), rounded(-0.5), rounded(14.05, 1), rounded(14.0, 1)] == [1, 2, -1, 14.1, 14]


def test_an_address_line_is_built_from_its_parts() -> None:
    """The vendor's label writes the state as `Il`, and a zip can have lost its zero."""
    parts: Json = {"address": "17 Sample  Pass", "city": "Willowbrook", "state": "nj", "zip": "8046", "label": "no"}
    assert address_line(parts) == "17 Sample Pass, Willowbrook, NJ 08046"
    alone: Json = {"house": "873", "preDirection": "E", "street": "3rd", "streetType": "St", "city": "Exampleton"}
    assert address_line(alone) == "873 E 3rd St, Exampleton"


@pytest.mark.parametrize(
    "parts", [{}, None, {"address": "742 Evergreen Ter"}, {"city": "Springfield"}, "742 Evergreen"]
)
def test_an_address_without_street_or_place_is_missing(parts: Json) -> None:
    assert address_line(parts) is None


def test_paths_reach_into_lists_and_survive_other_shapes(sample: Sample) -> None:
    record = PropertyRecord(sample("sfr_clean"))
    assert record.text("data.currentMortgages.0.lenderName") == "Example Home Mortgage"
    assert record.get("data.currentMortgages.1.lenderName") is None
    assert record.get("data.propertyType.0.deeper") is None
    lone = PropertyRecord({"data": {"currentMortgages": {"lenderName": "One"}, "ownerInfo": {"ownerNames": "Alex"}}})
    assert lone.text("data.currentMortgages.0.lenderName") == "One"
    assert lone.text("data.ownerInfo.ownerNames.0") == "Alex"
    assert PropertyRecord({"data": None}).get("data.id") is None


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ({"last_sale": {"saleDate": "2012-10-12"}}, "data.lastSale.saleDate"),
        ({"lastSale": None, "last_sale": {"saleDate": "2012-10-12"}}, "data.lastSale.saleDate"),
        ({"lastSale": {"saleDate": "2012-10-12"}}, "data.last_sale.saleDate"),
        ({"saleHistory": [{"seq": 3}]}, "data.saleHistory.0.seqNo"),
        ({"propertyInfo": {"hoaFlag": True}}, "data.propertyInfo.hoa"),
        (
            {"propertyInfo": {"basementSquareFeetUnFinished": 7}},
            "data.propertyInfo.basementSquareFeetUnfinished",
        ),
    ],
)
def test_both_spellings_are_read(written: dict[str, Json], read: str) -> None:
    assert PropertyRecord({"data": written}).get(read) is not None


def test_an_answer_to_a_test_key_is_marked(sample: Sample) -> None:
    assert not PropertyRecord(sample("test_key")).live
    assert PropertyRecord(sample("sfr_clean")).live


@pytest.mark.parametrize(
    ("data", "suspected"),
    [
        ({"mlsType": "ForRent"}, True),
        ({"mlsType": "Lease"}, True),
        ({"mlsType": "ForSale", "mlsListingPrice": 2500, "estimatedValue": "490308"}, True),
        ({"mlsListingPrice": 359900, "estimatedValue": 342000}, False),
        ({"mlsListingPrice": 0, "estimatedValue": 342000}, False),
        ({"mlsListingPrice": 2500}, False),
        ({"mlsType": "Current"}, False),
        ({}, False),
    ],
)
def test_a_rental_is_told_by_its_type_or_its_price(data: dict[str, Json], suspected: bool) -> None:
    assert reading(data).get("@rental_suspected") is suspected


def test_the_share_that_makes_a_rental_comes_from_the_rules() -> None:
    record = PropertyRecord({"data": {"mlsListingPrice": 5000, "estimatedValue": 100_000}})
    assert Reading(record, TODAY, limits=Limits(max_price_to_value=0.06)).get("@rental_suspected") is True
    assert Reading(record, TODAY, limits=Limits(max_price_to_value=0.05)).get("@rental_suspected") is False


@pytest.mark.parametrize(
    ("data", "day", "market"),
    [
        (
            {"lastSaleDate": "2020-01-02", "lastSale": {"saleDate": "2019-01-01", "armsLength": True}},
            "2020-01-02",
            True,
        ),
        ({"lastSaleDate": "", "lastSale": {"saleDate": "2019-01-01T00:00:00.000Z"}}, "2019-01-01", None),
        ({"last_sale": {"recordingDate": "2019-02-01", "saleAmount": "5"}}, "2019-02-01", True),
        ({"lastSalePrice": "0", "lastSale": {"saleAmount": 0}}, None, False),
        ({"lastSalePrice": 5, "lastSale": {"armsLength": False}}, None, False),
        ({"lastSale": {"armsLength": "yes"}}, None, None),
        ({}, None, None),
    ],
)
def test_the_last_sale(data: dict[str, Json], day: str | None, market: bool | None) -> None:
    assert reading(data).get("@last_sale_date") == day
    assert reading(data).get("@last_sale_is_market") is market


@pytest.mark.parametrize(
    ("data", "percent"),
    [
        ({"equityPercent": "11", "estimatedEquity": 1, "estimatedValue": 2}, 11),
        ({"equityPercent": 0}, 0),
        ({"equity": True, "estimatedEquity": 50_000, "estimatedValue": 200_000}, 25),
        ({"estimatedMortgageBalance": "150000", "openMortgageBalance": 1, "estimatedValue": 200_000}, 25),
        ({"openMortgageBalance": 250_000, "estimatedValue": 200_000}, -25),
        ({"estimatedEquity": 50_000, "estimatedValue": 0}, None),
        ({"estimatedEquity": 50_000}, None),
        ({"equity": True}, None),
    ],
)
def test_equity_falls_back_to_what_it_is_made_of(data: dict[str, Json], percent: float | None) -> None:
    assert reading(data).get("@equity_percent") == percent


@pytest.mark.parametrize(
    ("owner", "owner_class"),
    [
        ({"owner1Type": "Company", "owner1FullName": "Example National Bank"}, "bank"),
        ({"owner1Type": "Company", "owner1FullName": "WELLS EXAMPLE N.A."}, "bank"),
        ({"owner1Type": "Other", "owner1FullName": "Cook County Land Bank Authority"}, "government"),
        ({"owner1Type": "Company", "owner1FullName": "City Of Springfield"}, "government"),
        ({"companyName": "Secretary Of Housing"}, "government"),
        ({"owner1Type": "Company", "ownerNames": ["State of Example"]}, "government"),
        ({"owner1Type": "Company", "owner1FullName": "Sample Ridge Holdings Llc"}, "other"),
        ({"owner1Type": "Individual", "owner1FullName": "Robin Bank", "companyName": "City Of X"}, None),
        ({"owner1FullName": "Robin Bank"}, None),
        ({"owner1Type": "Company"}, None),
    ],
)
def test_owner_names_are_read_only_of_those_who_are_no_persons(owner: dict[str, Json], owner_class: str | None) -> None:
    assert reading({"ownerInfo": owner}).get("@owner_class") == owner_class


PERSON = {"owner1Type": "Individual", "owner1FullName": "Alex Q Sample", "owner1LastName": "Sample"}


@pytest.mark.parametrize(
    ("owner", "lead", "match"),
    [
        (PERSON, LeadNames("Alex", "Sample"), "MATCH"),
        (PERSON, LeadNames("Someone", "SAMPLE Jr."), "MATCH"),
        (PERSON, LeadNames("Sample", "Robin"), "MATCH"),
        (PERSON, LeadNames("Alex", "Miller"), "NO_MATCH"),
        (PERSON, LeadNames("Alex", "Samp"), "NO_MATCH"),
        (PERSON, LeadNames("Alex Sample", ""), "MATCH"),
        (PERSON, LeadNames("Alex", ""), "UNKNOWN"),
        (PERSON, LeadNames("Alex", "S."), "UNKNOWN"),
        (PERSON, LeadNames("Alex", "N/A"), "UNKNOWN"),
        ({**PERSON, "owner2FullName": "José Núñez"}, LeadNames("Jose", "Nunez"), "MATCH"),
        ({**PERSON, "owner1FullName": "Ana De La Cruz"}, LeadNames("Ana", "delacruz"), "MATCH"),
        ({**PERSON, "owner1FullName": "Pat OBrien"}, LeadNames("Pat", "O'Brien"), "MATCH"),
        ({"owner1Type": "Other", "owner1FullName": "Sample Family Trust"}, LeadNames("A", "Sample"), "MATCH"),
        ({"owner1Type": "Company", "owner1FullName": "Acme Llc"}, LeadNames("A", "Sample"), "UNKNOWN"),
        ({"owner1Type": "Company", "ownerNames": ["Acme", "Alex Sample"]}, LeadNames("A", "Sample"), "MATCH"),
        ({"owner1Type": "Individual"}, LeadNames("Alex", "Sample"), "UNKNOWN"),
        ({"owner1Type": "Individual", "owner1FirstName": "Pat"}, LeadNames("Alex", "Sample"), "UNKNOWN"),
        ({"owner1FullName": "Pat Other"}, LeadNames("Alex", "Sample"), "UNKNOWN"),
    ],
)
def test_the_lead_is_looked_for_on_the_title(owner: dict[str, Json], lead: LeadNames, match: str) -> None:
    assert owner_match(PropertyRecord({"data": {"ownerInfo": owner}}), lead) == match


@pytest.mark.parametrize(
    ("data", "summary"),
    [
        ({"mlsActive": True}, "Listed"),
        ({"mlsPending": True, "mlsActive": False}, "Pending"),
        ({"mlsActive": False, "mlsStatus": "Coming Soon"}, "Listed"),
        ({"mlsActive": True, "mlsType": "ForRent"}, "Rental Listing"),
        ({"mlsActive": False, "mlsType": "ForRent"}, "Off Market"),
        ({"mlsStatus": "Cancelled", "mlsActive": False}, "Off Market"),
        ({}, None),
    ],
)
def test_the_listing_in_a_word(data: dict[str, Json], summary: str | None) -> None:
    assert reading(data).get("@mls_summary") == summary


@pytest.mark.parametrize(
    ("days", "chosen"),
    [
        (["2026-12-18", "2026-11-30", "2026-01-01"], "2026-11-30"),
        (["2026-11-23"], "2026-11-23"),
        (["2025-01-01", "2026-01-01T00:00:00.000Z"], "2026-01-01"),
        (["soon", None], None),
    ],
)
def test_the_auction_is_the_next_one_else_the_latest(days: list[Json], chosen: str | None) -> None:
    data: dict[str, Json] = {
        "auctionInfo": {"auctionDate": days[0]},
        "foreclosureInfo": [{"auctionDate": day} for day in days[1:]],
    }
    assert reading(data).get("@next_auction_date") == chosen


@pytest.mark.parametrize(
    ("data", "active", "listed"),
    [
        ({"auctionInfo": {"active": True}, "foreclosureInfo": []}, True, False),
        ({"auctionInfo": None, "foreclosureInfo": [{"active": False}, {"active": True}]}, True, True),
        ({"foreclosureInfo": []}, False, False),
        ({"foreclosureInfo": None, "auctionInfo": {"active": False}}, False, None),
        ({"foreclosureInfo": [{"active": "true"}]}, None, None),
        ({}, None, None),
    ],
)
def test_an_active_foreclosure(data: dict[str, Json], active: bool | None, listed: bool | None) -> None:
    assert reading(data).get("@foreclosure_active") is active
    assert reading(data).get("@foreclosure_listed") is listed


def test_deal_signals_keep_their_order() -> None:
    flags = ("auction", "preForeclosure", "bankOwned", "taxLien", "judgment", "inherited", "vacant", "absenteeOwner")
    data: dict[str, Any] = dict.fromkeys((*flags, "freeClear", "highEquity"), True)
    data |= {
        "taxInfo": {"taxDelinquentYear": "2024"},
        "auctionInfo": {"auctionDate": "2026-12-18"},
        "equityPercent": -1,
    }
    assert reading(data).get("@deal_signals") == [
        "Auction 2026-12-18",
        "Pre-Foreclosure",
        "Bank Owned",
        "Tax Lien",
        "Tax Delinquent 2024",
        "Judgment",
        "Inherited",
        "Vacant",
        "Absentee Owner",
        "Free and Clear",
        "High Equity",
        "Negative Equity",
    ]
    assert reading({"auction": "true", "vacant": 1, "taxInfo": {"taxDelinquentYear": 0}}).get("@deal_signals") == []


def test_the_newest_past_listing() -> None:
    history: list[Json] = [
        {"statusDate": "2024-01-01", "price": "100"},
        {"lastStatusDate": "2025-01-01", "price": "$200"},
        {"price": 300},
    ]
    assert reading({"mlsHistory": history}).get("@newest_listing_price") == 200
    assert reading({"mlsHistory": history}).get("@newest_listing_date") == "2025-01-01"
    assert reading({}).get("@newest_listing_price") is None


@pytest.mark.parametrize(
    ("data", "amount"),
    [
        ({"currentMortgages": [{"position": "Second", "amount": 5}, {"position": "First", "amount": "9"}]}, 9),
        ({"currentMortgages": [], "mortgageHistory": [{"amount": 1}, {"amount": 2, "open": True}]}, 2),
        ({"mortgageHistory": [{"amount": 1, "open": False}], "openMortgageBalance": 3}, 3),
        ({"openMortgageBalance": "0"}, 0),
        ({}, None),
    ],
)
def test_the_open_mortgage(data: dict[str, Json], amount: float | None) -> None:
    assert reading(data).get("@open_mortgage_amount") == amount


@given(json_values)
def test_no_value_breaks_a_coercion(value: Any) -> None:
    number = as_number(value)
    assert number is None or (math.isfinite(number) and not isinstance(number, bool))
    text = as_text(value)
    assert text is None or text.strip()
    for read in (as_day, as_flag, as_zip5, address_line):
        read(value)


@given(st.dictionaries(st.sampled_from(["ownerInfo", "lastSale", "mlsHistory", "foreclosureInfo"]), json_values))
def test_no_record_breaks_a_derived_input(data: dict[str, Any]) -> None:
    for name in DERIVED:
        reading(data, names=LeadNames("Alex", "Sample")).get(name)
