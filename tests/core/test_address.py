"""The normaliser: what is bought, by which key, and what is refused before any call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from leadenrich.core.address import AddressRejected, NormalAddress, as_postal, long_form, normalise, same_place
from leadenrich.core.lead import PostalAddress

CASES: list[dict[str, Any]] = msgspec.json.decode(
    (Path(__file__).parents[1] / "data" / "address_cases.json").read_bytes()
)["cases"]


def postal(given: dict[str, str]) -> PostalAddress:
    return PostalAddress(
        line1=given.get("address1", ""),
        city=given.get("city", ""),
        state=given.get("state", ""),
        postal_code=given.get("postalCode", ""),
        country=given.get("country", ""),
        full=given.get("full_address", ""),
    )


def one(full: str) -> NormalAddress:
    return normalise(PostalAddress(full=full))


def rejected(address: PostalAddress) -> str:
    with pytest.raises(AddressRejected) as caught:
        normalise(address)
    return caught.value.code


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["input"])[:60])
def test_every_case_gives_its_parts_and_key_or_its_code(case: dict[str, Any]) -> None:
    if code := case.get("reject"):
        assert rejected(postal(case["input"])) == code
        return
    found = normalise(postal(case["input"]))
    expected = NormalAddress(*(case.get(part, "") for part in ("house", "street", "unit", "city", "state", "zip5")))
    assert found == expected
    assert found.key == case["key"]


def test_there_are_43_cases() -> None:
    assert len(CASES) == 43


@pytest.mark.parametrize(
    ("typed", "key"),
    [
        ("100½ Elm St, Toledo, OH 43604", "100 1/2|ELM ST||43604"),
        ("123 O’Brien Rd, Peñasco, NM 87553", "123|OBRIEN RD||87553"),
        ("350 5 Ave, New York, NY 10118", "350|5TH AVE||10118"),
        ("1200 RR 620 S, Austin, TX 78734", "1200|RR 620 S||78734"),  # a ranch road, no rural route
        ("14001 County Road 12345, Tyler, TX 75701", "14001|COUNTY RD 12345||75701"),
        ("1 World Trade Center, New York, NY 10007", "1|WORLD TRADE CENTER||10007"),
        ("12 Oak Ct, Hartford, CT 06103", "12|OAK CT||06103"),
        ("123 Main St Bldg 3 Apt 5, Dallas, TX 75201", "123|MAIN ST|3 5|75201"),
        ("123 Main St, Dallas, Dallas County, TX 75201", "123|MAIN ST||75201"),
        ("123 Main St, Dallas, TX 75201, Dallas, TX 75201", "123|MAIN ST||75201"),
        ("John Smith, 123 Main St, Dallas, TX 75201", "123|MAIN ST||75201"),
        ("123 Main St, New York, New York 10001", "123|MAIN ST||10001"),
        ("123 Main St, Dallas, TX 752011234", "123|MAIN ST||75201"),
    ],
)
def test_what_people_type_in_one_line(typed: str, key: str) -> None:
    assert one(typed).key == key


@pytest.mark.parametrize(
    ("typed", "key"),
    [
        # The last digits of a street are no zip where the fields have a better one, or know the place without one.
        (PostalAddress("14001 County Road 12345", "Tyler", "TX", "75701"), "14001|COUNTY RD 12345||75701"),
        (PostalAddress("14001 County Road 12345", "Tyler", "TX"), "14001|COUNTY RD 12345||TYLER|TX"),
        (
            PostalAddress("828 Pearson Oaks Dr, Collierville", "Collierville", "TN", "38017"),
            "828|PEARSON OAKS DR||38017",
        ),
        (
            PostalAddress("828 Pearson Oaks Dr Collierville TN", "Collierville", "", "38017"),
            "828|PEARSON OAKS DR||38017",
        ),
        (PostalAddress("123 Houston", "Houston", "TX", "77001"), "123|HOUSTON||77001"),
        (PostalAddress("123 Main St", "Fort Lee", "NJ", "7024"), "123|MAIN ST||07024"),  # the leading zero is lost
        (PostalAddress("123 Main St", "Dallas", "TX", "00000"), "123|MAIN ST||DALLAS|TX"),  # no such zip
        (PostalAddress("123 Main St Rear", "Dallas", "TX", "75201"), "123|MAIN ST|REAR|75201"),
        (PostalAddress("123 Main St Apt 4", "Dallas", "TX - Texas", "75201"), "123|MAIN ST|4|75201"),
        (PostalAddress("45-12 Northern Blvd", "Queens", "N.Y.", "11101"), "45-12|NORTHERN BLVD||11101"),
        (PostalAddress("123 Main St Springfield", postal_code="62704"), "123|MAIN ST||62704"),
        # Written by one hand: the address in the street field wins over the other fields.
        (
            PostalAddress("828 Pearson Oaks Dr, Collierville, TN 38017", "Memphis", "TN", "38103"),
            "828|PEARSON OAKS DR||38017",
        ),
        (PostalAddress("123 Main St", full="123 Main St, Dallas, TX 75201"), "123|MAIN ST||75201"),
        (PostalAddress("n/a", full="123 Main St, Dallas, TX 75201"), "123|MAIN ST||75201"),
    ],
)
def test_what_people_type_into_the_fields(typed: PostalAddress, key: str) -> None:
    assert normalise(typed).key == key


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        (PostalAddress("N/A", "Dallas", "TX", "75201"), "ADDRESS_MISSING"),
        (PostalAddress(" - ", full="none"), "ADDRESS_MISSING"),
        (PostalAddress("123 Main St", "Guadalajara", "Jalisco", "44100"), "ADDRESS_NOT_US"),  # 44100 would be Ohio
        (PostalAddress("123 Main St", "Toronto", "", "", "Canada"), "ADDRESS_NOT_US"),
        (PostalAddress(full="123 Main St, Toronto, ON M5V 2T6"), "ADDRESS_NOT_US"),
        (PostalAddress("123 Main St", "APO", "AE", "09021"), "ADDRESS_PO_BOX"),
        (PostalAddress("Box 12", "Alpine", "TX", "79830"), "ADDRESS_PO_BOX"),
        (PostalAddress("5th Ave", "New York", "NY", "10001"), "ADDRESS_INCOMPLETE"),  # an ordinal is no house
        (PostalAddress("corner of Main and 5th", "Dallas", "TX", "75201"), "ADDRESS_INCOMPLETE"),
        (PostalAddress("500 Main St", "Dallas"), "ADDRESS_INCOMPLETE"),
        (PostalAddress("12 " + "Long " * 80 + "St", "Dallas", "TX", "75201"), "ADDRESS_INCOMPLETE"),
    ],
)
def test_what_is_refused(typed: PostalAddress, code: str) -> None:
    assert rejected(typed) == code


@pytest.mark.parametrize(
    ("typed", "long"),
    [
        ("18420 166th Ave NE, Woodinville, WA 98072", "166TH AVENUE NORTHEAST"),
        ("123 SW Main St Apt 4, Boring, OR 97203", "SOUTHWEST MAIN STREET"),
        ("123 Avenue D, Brooklyn, NY 11226", "AVENUE D"),
        ("5 E St, Dallas, TX 75201", "E STREET"),  # E is the name here, no direction
        ("500 Broadway, New York, NY 10012", None),
    ],
)
def test_the_second_spelling_is_the_long_form_or_none(typed: str, long: str | None) -> None:
    asked = one(typed)
    second = long_form(asked)
    assert (second.street if second else None) == long
    if second:
        assert (second.house, second.unit, second.zip5) == (asked.house, asked.unit, asked.zip5)


@pytest.mark.parametrize(
    ("house", "zip5", "same"),
    [
        ("123a", "08046", True),
        ("123A", "8046", True),
        ("123", "08046", False),
        ("123A", "08047", False),
        ("", "", False),
    ],
)
def test_a_neighbour_is_not_the_same_place(house: str, zip5: str, same: bool) -> None:
    asked = NormalAddress("123A", "MAIN ST", "", "WILLINGBORO", "NJ", "08046")
    assert same_place(asked, house=house, zip5=zip5, city="Elsewhere", state="PA") is same


@pytest.mark.parametrize(
    ("city", "state", "same"),
    [("Saint Louis", "Mo", True), ("St. Louis", "Missouri", True), ("St Louis", "IL", False), ("Ladue", "MO", False)],
)
def test_without_a_zip_city_and_state_tell(city: str, state: str, same: bool) -> None:
    asked = NormalAddress("123", "MAIN ST", "", "ST LOUIS", "MO", "")
    assert same_place(asked, house="123", zip5="63101", city=city, state=state) is same


def test_the_parts_can_be_typed_in_again() -> None:
    found = one("4508 NW 48th St Apartment 5-B, Oklahoma City, OK 73107")
    assert normalise(as_postal(found)) == found
