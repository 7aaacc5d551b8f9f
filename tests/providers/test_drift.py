"""A vendor that renames a member is noticed after a handful of records, not after a month of unjudged leads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from leadenrich.config import RealEstateApiSettings, Secret
from leadenrich.core.address import NormalAddress
from leadenrich.core.errors import ProviderOut
from leadenrich.core.property import Found
from leadenrich.providers.drift import EXPECTED, ODD_MAX, WINDOW, DriftWatch, oddities
from leadenrich.providers.realestateapi import RealEstateApi

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
HOME = NormalAddress("742", "EVERGREEN TER", "", "SPRINGFIELD", "IL", "62704")
FULL: dict[str, Any] = {
    "id": 190000001, "propertyType": "SFR", "propertyInfo": {}, "ownerInfo": {}, "estimatedValue": 342000,
    "mlsActive": False,    "lastSaleDate": None, "equityPercent": "41",
}  # fmt: skip


def records() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted(SAMPLES.glob("property_detail.200*.json")):
        data = json.loads(path.read_text("utf-8")).get("data")
        if isinstance(data, dict) and "propertyInfo" in data:
            yield path.name, data


def test_full_records_have_nothing_odd() -> None:
    """Nulls neither: a house without a value is no change of shape. The one record of few members is odd, alone."""
    odd = {name: oddities(data) for name, data in records()}
    assert len(odd) >= 20
    assert [name for name, found in odd.items() if found] == ["property_detail.200.minimal_keys.json"]


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("change", ["renamed", "another type"])
def test_a_change_of_any_member_that_decides_is_odd(name: str, change: str) -> None:
    assert oddities(FULL) == ()
    changed = {key: value for key, value in FULL.items() if key != name}
    changed |= {f"{name}V2": FULL[name]} if change == "renamed" else {name: ["in", "a", "list"]}
    assert oddities(changed) == (name,)


def test_a_flag_is_no_number_and_a_number_no_flag() -> None:
    assert oddities(FULL | {"estimatedValue": True, "mlsActive": 1}) == ("estimatedValue", "mlsActive")


def test_more_than_a_fifth_of_the_last_fifty_stops_the_buying_once() -> None:
    watch = DriftWatch("seller")
    odd = {key: value for key, value in FULL.items() if key != "estimatedValue"}
    for number in range(WINDOW):
        watch.saw(odd if number < ODD_MAX else FULL)
        watch.check()
    watch.saw(FULL)  # the oldest odd one leaves the window
    watch.saw(odd)
    watch.check()
    watch.saw(odd)
    watch.check()  # two came, two left
    watch.saw(odd)
    watch.saw(odd)
    for _ in range(ODD_MAX):
        watch.saw(odd)
    with pytest.raises(ProviderOut, match=r"of the last 50 records have another shape .*\(estimatedValue\)") as caught:
        watch.check()
    assert (caught.value.kind, caught.value.provider) == ("operator", "seller")
    watch.check()  # whoever resumes has looked


def test_only_names_are_told() -> None:
    with capture_logs() as lines:
        DriftWatch("seller").saw({"id": 1, "ownerName": "Alex Sample", "street": "742 Evergreen Terrace"})
    told = str(lines)
    assert "ownerName" in told
    assert "Alex" not in told
    assert "Evergreen" not in told


async def test_the_client_refuses_before_it_sends(wire: Any, answer: Any, clock: Any) -> None:
    """What was bought already is handed on; the next look-up costs nothing and pauses the provider."""
    wire.says(answer(200, {"data": {"id": 1, "propertyType": "SFR"}, "statusCode": 200}))
    settings = RealEstateApiSettings(base_url=wire.url, api_key=Secret("a-key-of-ours"), timeout=2.0, rate_per_second=0)
    async with RealEstateApi(settings, now_ms=clock.now_ms, clock=clock.seconds) as api:
        for _ in range(ODD_MAX + 1):
            assert isinstance(await api.lookup(HOME, location_id="loc1"), Found)
        with pytest.raises(ProviderOut) as caught:
            await api.lookup(HOME, location_id="loc1")
        assert caught.value.kind == "operator"
        assert len(wire.seen) == ODD_MAX + 1
        assert isinstance(await api.lookup(HOME, location_id="loc1"), Found)
