"""What a PropertyDetail request asks for, read by the vendor's published rules."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from leadenrich.core.lead import Json

MEMBERS: Final = frozenset(
    {"id", "address", "house", "street", "unit", "city", "state", "zip", "apn", "fips", "county"}
    | {"exact_match", "comps"}
)
_FLAGS: Final = frozenset({"exact_match", "comps"})
_ONE_OF: Final = ("id", "address", "house", "apn")

_SHORT: Final = {
    "AVENUE": "AVE", "BOULEVARD": "BLVD", "CIRCLE": "CIR", "COURT": "CT", "DRIVE": "DR", "LANE": "LN", "PLACE": "PL",
    "PLAZA": "PLZ", "ROAD": "RD", "SQUARE": "SQ", "STREET": "ST", "TERRACE": "TER", "TRAIL": "TRL",
    "NORTH": "N", "SOUTH": "S", "EAST": "E", "WEST": "W",
}  # fmt: skip
_UNIT = re.compile(r"[,\s]+(?:APT|APARTMENT|UNIT|STE|SUITE|#)\.?\s*#?\s*([A-Z]?-?\d[\w-]*|[A-Z])$")
_HOUSE = re.compile(r"(\S*\d\S*(?:\s1/2)?)\s+(.+)")
_PLACE = re.compile(
    r"(?P<city>[^,\d]+?)[,\s]+(?P<state>[A-Z]{2})(?:[,\s]+(?P<zip>\d{5})(?:-\d{4})?)?$|(?P<only>\d{5})$"
)


@dataclass(frozen=True, slots=True)
class Asked:
    """All parts upper case, the street in USPS short forms. Only `property_id` or `apn` is set for those lookups."""

    house: str = ""
    street: str = ""
    unit: str = ""
    city: str = ""
    state: str = ""
    zip5: str = ""
    property_id: str = ""
    apn: str = ""

    @property
    def key(self) -> str:
        """As `NormalAddress.key`; `id|…` and `apn|…` for the other lookups."""
        if not self.house:
            return f"id|{self.property_id}" if self.property_id else f"apn|{self.apn}"
        place = self.zip5 or f"{self.city}|{self.state}"
        return f"{self.house}|{self.street}|{self.unit}|{place}"


class Refused(Exception):
    """The vendor's 400. `keys` are the members it complains about; "" is the whole body."""

    def __init__(self, message: str, *keys: str) -> None:
        super().__init__(message)
        self.keys = keys or ("",)


def read_request(body: Json) -> Asked:
    """Raises: Refused, in the words of the vendor's validator, the first fault only."""
    if not isinstance(body, dict):
        raise Refused('"value" must be of type object')
    _check_members(body)
    if not any(member in body for member in _ONE_OF):
        raise Refused('"value" must contain at least one of [id, address, house, apn]')
    text = {member: value.strip().upper() for member, value in body.items() if isinstance(value, str)}
    if "house" in text:
        _check_parts(text)
        return Asked(
            text["house"],
            short_forms(text.get("street", "")),
            re.sub(r"^(?:APT|UNIT|STE|#)\W*|\W", "", text.get("unit", "")),
            text.get("city", ""),
            text["state"],
            text["zip"],
        )
    if "address" in text:
        return one_line(text["address"])
    return Asked(property_id=text.get("id", ""), apn=text.get("apn", ""))


def _check_members(body: dict[str, Json]) -> None:
    for member, value in body.items():
        if member not in MEMBERS:
            raise Refused(f'"{member}" is not allowed', member)
        if member in _FLAGS:
            if not isinstance(value, bool):
                raise Refused(f'"{member}" must be a boolean', member)
        elif not isinstance(value, str):
            raise Refused(f'"{member}" must be a string', member)
        elif not value.strip():
            raise Refused(f'"{member}" is not allowed to be empty', member)


def _check_parts(text: dict[str, str]) -> None:
    for member in ("zip", "state"):
        if member not in text:
            raise Refused(f'"house" missing required peer "{member}"')
    for member, length in (("zip", 5), ("state", 2)):
        if len(text[member]) != length:
            raise Refused(f'"{member}" length must be {length} characters long', member)


def one_line(address: str) -> Asked:
    """Read `123 Main St, Arlington VA 22205`.

    Raises: Refused, when neither a zip nor a city can be read out of it.
    """
    line = re.sub(r"\s+", " ", address.upper()).strip(" ,")
    street_part, _, rest = line.partition(",")
    unit_in_rest = re.match(r"\s*(?:APT|UNIT|STE|#)[^,]*,", rest)
    if unit_in_rest:
        street_part, rest = f"{street_part}{unit_in_rest[0].rstrip(',')}", rest[unit_in_rest.end() :]
    place = _PLACE.search(rest.strip())
    if place is None:
        raise Refused('"address" must contain at least one of [zip, city]', "address")
    unit = _UNIT.search(street_part)
    house = _HOUSE.match(street_part[: unit.start()] if unit else street_part)
    return Asked(
        house[1] if house else "?",
        short_forms(house[2] if house else street_part),
        unit[1].replace("-", "") if unit else "",
        place["city"] or "",
        place["state"] or "",
        place["zip"] or place["only"] or "",
    )


def short_forms(street: str) -> str:
    """Upper case, no punctuation, street types and directions short: enough to know a street again."""
    words = re.sub(r"[.,]", "", street.upper()).split()
    return " ".join(word if index == 0 and len(words) > 1 and word not in ("NORTH", "SOUTH", "EAST", "WEST")
                    else _SHORT.get(word, word) for index, word in enumerate(words))  # fmt: skip
