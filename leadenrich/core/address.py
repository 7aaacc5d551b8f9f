"""An address as it is bought: normalised to USPS short forms, or rejected before any call."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from leadenrich.core import address_parser as parser, address_text as texts
from leadenrich.core.lead import PostalAddress
from leadenrich.core.states import MILITARY, state_code, state_of_zip

RejectCode: TypeAlias = Literal["ADDRESS_MISSING", "ADDRESS_INCOMPLETE", "ADDRESS_PO_BOX", "ADDRESS_NOT_US"]

_HOUSE: Final = re.compile(r"(?=.*[1-9])(?=.*\d)[A-Z0-9][A-Z0-9 /.-]{0,19}")
_ORDINAL: Final = re.compile(r"\d+(?:ST|ND|RD|TH)")
_SETTLE_MAX: Final = 4  # readings until one repeats the last; two are the rule


@dataclass(frozen=True, slots=True)
class NormalAddress:
    """All parts upper case; `zip5` or both `city` and `state` are set. `key` is what a purchase is keyed by."""

    house: str
    street: str
    unit: str
    city: str
    state: str
    zip5: str

    @property
    def key(self) -> str:
        place = self.zip5 or f"{self.city}|{self.state}"
        return f"{self.house}|{self.street}|{self.unit}|{place}"


class AddressRejected(Exception):
    """No call can be made for this address. `code` says why."""

    def __init__(self, code: RejectCode, message: str) -> None:
        super().__init__(message)
        self.code = code


def warm() -> None:
    """Load the parser and its model now (about 60 ms) instead of in the first lead."""
    parser.label("1 WARM ST, SPRINGFIELD, IL 62704")


def normalise(address: PostalAddress) -> NormalAddress:
    """Bring an address to the form it is bought and cached by; doing it again to the result changes nothing.

    A street field that holds a whole address wins over the other fields, which then only fill its gaps.
    Raises: AddressRejected.
    """
    # The parser is statistical: read again what came out until it stays the same, so that one address has one key.
    found = _read(address)
    for _ in range(_SETTLE_MAX):
        again = _read(as_postal(found))
        if again.key == found.key:
            return found
        found = again
    raise AddressRejected("ADDRESS_INCOMPLETE", "the address cannot be read reliably")


def as_postal(address: NormalAddress) -> PostalAddress:
    """The parts as a person would write them into an address form."""
    unit = f" UNIT {address.unit}" if address.unit else ""
    return PostalAddress(f"{address.house} {address.street}{unit}", address.city, address.state, address.zip5)


def long_form(address: NormalAddress) -> NormalAddress | None:
    """The second spelling: directions and street types in full (`166TH AVENUE NORTHEAST`); None if nothing changes."""
    tags = parser.label(one_line(replace(address, unit="")))
    if tags is None or parser.street_of(tags) != address.street:
        return None
    street = parser.long_street_of(tags)
    return replace(address, street=street) if street and street != address.street else None


def one_line(address: NormalAddress) -> str:
    """`742 EVERGREEN TER UNIT 5, SPRINGFIELD, IL 62704`: for a provider's address string and for people."""
    unit = f" UNIT {address.unit}" if address.unit else ""
    place = f"{address.state} {address.zip5}".strip()
    return ", ".join(part for part in (f"{address.house} {address.street}{unit}", address.city, place) if part)


def same_place(asked: NormalAddress, *, house: str, zip5: str, city: str, state: str) -> bool:
    """Whether a returned property is the one asked for: providers match fuzzily and can return a neighbour.

    House numbers equal without case, and zips equal once padded to five digits; with no zip asked, city and state.
    """
    if " ".join(house.upper().split()) != asked.house:
        return False
    if asked.zip5:
        return texts.zip5_in(zip5) == asked.zip5
    return _plain(city) == _plain(asked.city) and (state_code(state) or state.upper()) == asked.state


@dataclass(frozen=True, slots=True)
class _Place:
    city: str
    state: str
    zip5: str


def _read(address: PostalAddress) -> NormalAddress:
    typed = (address.line1, address.full, address.city, address.state, address.postal_code, address.country)
    if max(map(len, typed)) > texts.TYPED_MAX:
        raise AddressRejected("ADDRESS_INCOMPLETE", "too long for an address")
    line, full = texts.clean(address.line1), texts.clean(address.full)
    city, zip_text = texts.clean(address.city), texts.clean(address.postal_code)
    state_text = texts.clean(address.state)
    text = line or full
    if not text:
        raise AddressRejected("ADDRESS_MISSING", "no street address")
    if line and full and not (city or state_text or zip_text or texts.ending_zip(line)):
        text, line = full, ""  # the street field has no place at all, the one-line form may
    if len(text) + len(city) > texts.LENGTH_MAX:
        raise AddressRejected("ADDRESS_INCOMPLETE", "too long for an address")
    text = texts.one_line(text)
    if texts.is_abroad(text, zip_text, address.country):
        raise AddressRejected("ADDRESS_NOT_US", "not in the US")
    if texts.is_po_box(text):
        raise AddressRejected("ADDRESS_PO_BOX", "a box or military mail is no property")
    fields = _Place(city, _state(state_text), texts.zip5_in(zip_text))
    if not line or _is_whole(text, fields):
        return _read_whole(text, fields)
    return _read_street(text, fields)


def _state(text: str) -> str:
    if not re.search(r"\w", text):
        return ""
    code = state_code(text)
    if not code:
        raise AddressRejected("ADDRESS_NOT_US", "the state is none of the US")
    return code


def _is_whole(line: str, fields: _Place) -> bool:
    """Whether a street field holds the whole address: it ends in a zip, or repeats the city."""
    if zip5 := texts.ending_zip(line):
        before = line[: line.rindex(zip5)].rstrip(" ,")
        # `14001 County Road 12345` ends in five digits too: a state before them, or no better zip, makes them a zip.
        named = state_code(before.replace(",", " ").rsplit(" ", 1)[-1]) == state_of_zip(zip5)
        return zip5 == fields.zip5 or named or not (fields.zip5 or (fields.city and fields.state))
    if not fields.city:
        return "," in line and bool(state_code(line.rsplit(",", 1)[1]))
    ending = rf"[\s,]+{re.escape(fields.city)}(?:[\s,]+[A-Za-z]{{2}}\.?)?$"
    match = re.search(ending, line, re.IGNORECASE)
    # `123 Houston, Houston` repeats the city, `123 Houston` is a street named like it.
    return match is not None and len(line[: match.start()].split()) > 1


def _read_whole(text: str, fields: _Place) -> NormalAddress:
    tags = parser.label(text)
    if tags is None:  # a label twice: `…, Dallas, Dallas County, TX 75201`
        street, _, rest = text.partition(",")
        zip5 = texts.ending_zip(rest)
        parts = [part.strip() for part in rest.removesuffix(zip5).split(",") if part.strip()]
        words = parts[-1].split() if parts else []
        state = state_code(words[-1]) if words else ""
        city = parts[0] if parts and parts[0] != (words[-1] if words else "") else ""
        return _read_street(street, _Place(city or fields.city, state or fields.state, zip5 or fields.zip5))
    parsed_state = _state(tags.get("StateName", ""))
    zip5 = texts.zip5_in(tags.get("ZipCode", "")) if "ZipCode" in tags else ""
    city = _city_in(tags.get("PlaceName", "")) or fields.city
    return _assemble(tags, _Place(city, parsed_state or fields.state, zip5 or fields.zip5))


def _city_in(name: str) -> str:
    """The city of what the model takes for a place: `DALLAS, DALLAS COUNTY` and `REAR, DALLAS` are Dallas."""
    parts = [part.strip() for part in name.split(",")]
    return next((part for part in reversed(parts) if part and not part.endswith(" COUNTY")), "")


def _read_street(line: str, fields: _Place) -> NormalAddress:
    """Parse a street with the place it is in: the model reads whole addresses better than lone streets."""
    state = fields.state or state_of_zip(fields.zip5)
    place = f"{state} {fields.zip5}".strip()
    tags = parser.label(", ".join(part for part in (line, fields.city, place) if part))
    if tags is None or not parser.street_of(tags) or not _same_city(tags, fields.city):
        tags = parser.label_by_hand(line)
    city = fields.city or tags.get("PlaceName", "")
    return _assemble(tags, replace(fields, city=city))


def _same_city(tags: Mapping[str, str], city: str) -> bool:
    """False where the model took a word of the street for the city or the other way round."""
    return not city or _plain(tags.get("PlaceName", "")) == _plain(city)


def _assemble(tags: Mapping[str, str], place: _Place) -> NormalAddress:
    house, street = parser.house_of(tags), parser.street_of(tags)
    if not house or not street or parser.is_intersection(tags):
        raise AddressRejected("ADDRESS_INCOMPLETE", "no street with a house number")
    if not _HOUSE.fullmatch(house) or _ORDINAL.fullmatch(house):
        raise AddressRejected("ADDRESS_INCOMPLETE", "no house number")
    state = place.state or state_of_zip(place.zip5)
    if state in MILITARY:
        raise AddressRejected("ADDRESS_PO_BOX", "military mail is no property")
    city = parser.plain(place.city)
    if not (place.zip5 or (city and state)):
        raise AddressRejected("ADDRESS_INCOMPLETE", "neither a zip nor a city with its state")
    return NormalAddress(house, street, parser.unit_of(tags), city, state, place.zip5)


def _plain(text: str) -> str:
    return re.sub(r"[^A-Z0-9]+", "", parser.plain(text)).replace("SAINT", "ST")
