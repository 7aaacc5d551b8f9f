"""The fake RealEstateAPI keeps the vendor's rules and sells the same record for the same address."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import msgspec
import pytest
from aiohttp import ClientSession

from leadenrich.sandbox.asked import Refused, one_line, read_request
from leadenrich.sandbox.catalogue import REFERENCE_DATE, find
from leadenrich.sandbox.faults import Fault, Match
from leadenrich.sandbox.server import Sandbox

EVERGREEN = {"house": "742", "street": "Evergreen Ter", "city": "Springfield", "state": "IL", "zip": "62704"}


def at(line: str, **more: Any) -> dict[str, Any]:
    house, _, street = line.partition(" ")
    return {**EVERGREEN, "house": house, "street": street, **more}


async def look_up(client: ClientSession, sandbox: Sandbox, body: Any, key: str | None = None) -> tuple[int, Any]:
    headers = {"x-api-key": sandbox.api_key if key is None else key}
    async with client.post(f"{sandbox.realestateapi_url}/v2/PropertyDetail", json=body, headers=headers) as answer:
        return answer.status, msgspec.json.decode(await answer.read())


async def test_the_baseline_house_is_served_as_the_sample_stands(client: ClientSession, sandbox: Sandbox) -> None:
    status, body = await look_up(client, sandbox, {**EVERGREEN, "exact_match": True, "comps": False})
    assert status == 200
    assert body["input"]["house"] == "742"
    assert body["data"]["id"] == 190000001
    assert body["data"]["lastSaleDate"] == "2012-10-12"
    assert body["data"]["propertyInfo"]["address"]["label"] == "742 Evergreen Ter, Springfield, Il 62704"


async def test_a_record_moves_to_the_address_that_was_asked_for(client: ClientSession, sandbox: Sandbox) -> None:
    _, body = await look_up(client, sandbox, at("9 NW LISTED LN", city="AUSTIN", state="TX", zip="78701"))
    assert body["data"]["mlsActive"] is not True  # another street: the direction is part of its name
    _, body = await look_up(client, sandbox, at("9 LISTED LN", city="AUSTIN", state="TX", zip="78701"))
    address = body["data"]["propertyInfo"]["address"]
    assert body["data"]["mlsActive"] is True
    assert (address["house"], address["street"], address["streetType"]) == ("9", "Listed", "Ln")
    assert (address["city"], address["state"], address["zip"]) == ("Austin", "TX", "78701")
    assert body["data"]["ownerInfo"]["mailAddress"]["address"] == "9 Listed Ln"
    assert body["data"]["ownerInfo"]["owner1FullName"] == "Maria Delgado"
    assert body["data"]["id"] == body["data"]["taxInfo"]["propertyId"] != 190000001


async def test_an_unknown_street_has_a_record_that_stays_the_same(client: ClientSession, sandbox: Sandbox) -> None:
    first = await look_up(client, sandbox, at("1600 Elm St"))
    again = await look_up(client, sandbox, at("1600 ELM STREET"))
    other = await look_up(client, sandbox, at("1602 Elm St"))
    assert first[0] == 200
    assert first[1]["data"] == again[1]["data"] != other[1]["data"]
    value, equity = (first[1]["data"][name] for name in ("estimatedValue", "estimatedEquity"))
    assert first[1]["data"]["equityPercent"] == round(100 * equity / value) >= 20
    assert sandbox.rea.paid == {"1600|ELM ST||62704": 2, "1602|ELM ST||62704": 1}


@pytest.mark.parametrize(
    ("house", "status", "said"), [("404", 404, 404), ("1404", 404, 404), ("200", 200, 404), ("204", 200, 200)]
)
async def test_nowhere_lane_has_every_form_of_no_match(
    client: ClientSession, sandbox: Sandbox, house: str, status: int, said: int
) -> None:
    got, body = await look_up(client, sandbox, at(f"{house} Nowhere Ln"))
    assert (got, body["statusCode"], body["data"]) == (status, said, {})


async def test_nowhere_lane_has_the_flag_form_too(client: ClientSession, sandbox: Sandbox) -> None:
    status, body = await look_up(client, sandbox, at("7 Nowhere Lane"))
    assert status == 200
    assert body["data"]["error"] is True


@pytest.mark.parametrize(
    ("body", "message", "key"),
    [
        ([], "must be of type object", ""),
        ({}, "at least one of [id, address, house, apn]", ""),
        ({**EVERGREEN, "tax": "1"}, '"tax" is not allowed', "tax"),
        ({**EVERGREEN, "house": 742}, '"house" must be a string', "house"),
        ({**EVERGREEN, "comps": "no"}, '"comps" must be a boolean', "comps"),
        ({**EVERGREEN, "unit": ""}, '"unit" is not allowed to be empty', "unit"),
        ({**EVERGREEN, "zip": "6270"}, '"zip" length must be 5', "zip"),
        ({**EVERGREEN, "state": "Illinois"}, '"state" length must be 2', "state"),
        ({"house": "1", "street": "A St", "zip": "62704"}, 'missing required peer "state"', ""),
        ({"house": "1", "street": "A St", "state": "IL"}, 'missing required peer "zip"', ""),
        ({"address": "500 Main St"}, "at least one of [zip, city]", "address"),
    ],
)
async def test_a_bad_request_is_refused_and_not_billed(
    client: ClientSession, sandbox: Sandbox, body: Any, message: str, key: str
) -> None:
    status, answer = await look_up(client, sandbox, body)
    assert status == 400
    assert message in answer["message"]
    assert answer["validation"]["keys"] == [key]
    assert not sandbox.rea.paid


@pytest.mark.parametrize("key", ["", "wrong"])
async def test_a_wrong_key_is_refused_on_every_path(client: ClientSession, sandbox: Sandbox, key: str) -> None:
    status, body = await look_up(client, sandbox, EVERGREEN, key=key)
    assert (status, body["statusCode"]) == (401, 401)
    async with client.get(f"{sandbox.realestateapi_url}/v2/key/info", headers={"x-api-key": key}) as answer:
        assert answer.status == 401


async def test_key_info_names_scopes_and_rate(client: ClientSession, sandbox: Sandbox) -> None:
    headers = {"x-api-key": sandbox.api_key}
    async with client.get(f"{sandbox.realestateapi_url}/v2/key/info", headers=headers) as answer:
        data = (await answer.json())["data"]
    assert data["keyType"] == "live"
    assert "PropertyDetail" in data["scopes"]
    assert data["rateLimits"]["requestsPerSecond"] == 60


async def test_the_key_is_limited_by_the_second(client: ClientSession) -> None:
    async with Sandbox(rea_per_second=3) as sandbox:
        answers = [(await look_up(client, sandbox, EVERGREEN))[0] for _ in range(4)]
    assert answers == [200, 200, 200, 429]
    assert sandbox.rea.paid.total() == 3


async def test_the_neighbour_s_house_is_another_one(client: ClientSession, sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault("neighbour"))
    _, body = await look_up(client, sandbox, EVERGREEN)
    assert body["data"]["propertyInfo"]["address"]["house"] == "744"
    _, body = await look_up(client, sandbox, at("742 Mismatch Rd"))
    assert body["data"]["propertyInfo"]["address"]["house"] == "744"


async def test_a_difficult_street_is_difficult_once_for_each_address(client: ClientSession, sandbox: Sandbox) -> None:
    url = f"{sandbox.realestateapi_url}/v2/PropertyDetail"
    headers = {"x-api-key": sandbox.api_key}
    seen = []
    for line in ("1 Flaky St", "1 Flaky St", "2 Flaky St", "1 Turnstile Rd", "1 Turnstile Rd"):
        async with client.post(url, json=at(line), headers=headers) as answer:
            seen.append((answer.status, answer.headers.get("Retry-After")))
    assert seen == [(502, None), (200, None), (502, None), (429, "1"), (200, None)]


async def test_calls_tell_when_what_and_how_it_ended(client: ClientSession, sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault("throttle", retry_after=3), match=Match(address="742|evergreen"))
    await look_up(client, sandbox, EVERGREEN)
    await look_up(client, sandbox, {"address": "18 Lakeview Ct Apt 5B, Springfield IL 62703"})
    first, second = sandbox.rea.calls
    assert (first.status, first.address_key) == (429, "742|EVERGREEN TER||62704")
    assert (second.status, second.address_key) == (200, "18|LAKEVIEW CT|5B|62703")
    assert first.time <= second.time
    assert first.path == "/v2/PropertyDetail"


@pytest.mark.parametrize("days", [-400, 0, 1, 800])
def test_all_dates_move_along_with_today(days: int) -> None:
    """Sold eight and a half months ago, whenever the sandbox runs."""
    today = REFERENCE_DATE + timedelta(days=days)
    asked = read_request(at("50 Newowner Rd"))
    data: Any = find(asked, {}, today).body["data"]
    assert today - date.fromisoformat(data["lastSaleDate"]) == timedelta(days=264)
    assert data["lastUpdateDate"].endswith(" 00:00:00 UTC")
    assert data["propertyInfo"]["yearBuilt"] == 1962


def test_a_zip_that_lost_its_zero_stays_short() -> None:
    data: Any = find(read_request(at("17 Zeroless Pass", state="NJ", zip="08046")), {}, REFERENCE_DATE).body["data"]
    assert data["propertyInfo"]["address"]["zip"] == "8046"


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("123 Main St, Arlington VA 22205", "123|MAIN ST||22205"),
        ("123 main street, arlington, va, 22205-1234", "123|MAIN ST||22205"),
        ("742 EVERGREEN TER, SPRINGFIELD IL", "742|EVERGREEN TER||SPRINGFIELD|IL"),
        ("4508 NW 48TH ST UNIT 5B, OKLAHOMA CITY OK 73107", "4508|NW 48TH ST|5B|73107"),
        ("4508 NW 48th St, #5-B, Oklahoma City OK 73107", "4508|NW 48TH ST|5B|73107"),
        ("100 1/2 Elm St, Toledo OH 43604", "100 1/2|ELM ST||43604"),
    ],
)
def test_one_line_addresses_are_read(line: str, key: str) -> None:
    assert one_line(line).key == key


def test_a_line_without_a_place_is_refused() -> None:
    with pytest.raises(Refused, match="zip, city"):
        one_line("500 Main St")
