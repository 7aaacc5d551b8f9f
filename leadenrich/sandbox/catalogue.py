"""The properties of the sandbox: made samples, moved to the address that was asked for and to the present day.

A sample tells its story on its reference date. Served on another day, all its dates move along by the same number
of days, so that "sold eight months ago" stays true and the default rules always reach the same verdict.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cache
from importlib import resources
from typing import Final, TypeAlias, cast

import msgspec

from leadenrich.core.lead import Json
from leadenrich.sandbox.asked import Asked
from leadenrich.sandbox.streets import STREETS, Street, street_key

REFERENCE_DATE: Final = date(2026, 11, 23)
"""The day on which the samples are true as they stand."""

Record: TypeAlias = dict[str, Json]

_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})(.*)", re.DOTALL)
_DIRECTIONS: Final = frozenset({"N", "S", "E", "W", "NE", "NW", "SE", "SW"})
_NAME_MEMBERS: Final = re.compile(r"owner\dFirstName|owner\dLastName|owner\dFullName|ownerNames|granteeName|buyerNames")
_GENERATED: Final = Street("", "sfr_clean", ("Pat", "Resident"))


@dataclass(frozen=True, slots=True)
class Found:
    """The answer to a lookup: HTTP status and body."""

    status: int
    body: Record


def find(asked: Asked, request: Record, today: date, *, neighbour: bool = False) -> Found:
    """Answer a lookup. The same address always gives the same record; `neighbour` that of the house next door.

    A street the sandbox does not know has a plain single-family record, generated from the address.
    """
    if not asked.house:
        return _without(404, request)  # the sandbox keeps no parcels and no ids
    street = STREETS.get(street_key(asked.street))
    if street is not None and street.sample == "no_match":
        return no_match(asked, request)
    envelope = _sample(street.sample if street else _GENERATED.sample)
    record = _moved_to_today(envelope, (today - REFERENCE_DATE).days)
    data = section(record, "data")
    _name_owners(data, (street or _GENERATED).owner)
    _move_house(data, asked)
    if street is None:
        _vary(data, asked)
    if neighbour or (street is not None and street.sample == "address_mismatch"):
        _next_door(data, asked)
    return Found(200, {**record, "input": {"comps": False, **request}})


def no_match(asked: Asked, request: Record) -> Found:
    """No such property, in the form that the house number's last three digits name.

    404: HTTP 404; 200: HTTP 200 with 404 in its body; 204: HTTP 200 with empty data; any other: the flag in `data`.
    """
    form = asked.house[-3:]
    if form == "404":
        return _without(404, request)
    if form == "200":
        return Found(200, _without(404, request).body)
    if form == "204":
        return _without(200, request)
    flagged: Record = {"error": True, "errorMessage": "The sandbox has no property there."}
    return Found(200, {"statusCode": 200, "statusMessage": "OK", "data": flagged})


def _without(status: int, request: Record) -> Found:
    body: Record = {
        "input": {"comps": False, **request},
        "data": {},
        "statusCode": status,
        "statusMessage": "Success" if status == 200 else "Not Found",
        "live": True,
        "requestExecutionTimeMS": "12ms",
    }
    return Found(status, body)


def section(record: Record, *path: str) -> Record:
    """The object at a path; an empty one, not part of the record, where there is none."""
    here: Json = record
    for name in path:
        here = here.get(name) if isinstance(here, dict) else None
    return here if isinstance(here, dict) else {}


@cache
def _raw_sample(name: str) -> bytes:
    return resources.files("leadenrich.sandbox").joinpath("samples", f"{name}.json").read_bytes()


def _sample(name: str) -> Record:
    return cast("Record", msgspec.json.decode(_raw_sample(name)))


def _changed(value: Json, change: Callable[[str, str], str], member: str = "") -> Json:
    """A copy with every string passed through `change(member, text)`."""
    if isinstance(value, dict):
        return {name: _changed(inner, change, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [_changed(inner, change, member) for inner in value]
    return change(member, value) if isinstance(value, str) else value


def _moved_to_today(record: Record, days: int) -> Record:
    def shift(_member: str, text: str) -> str:
        dated = _DATE.fullmatch(text)
        return (date.fromisoformat(dated[1]) + timedelta(days=days)).isoformat() + dated[2] if dated else text

    moved = _changed(record, shift) if days else record
    return moved if isinstance(moved, dict) else record


def _name_owners(data: Record, owner: tuple[str, str]) -> None:
    first, last = owner

    def rename(member: str, text: str) -> str:
        if not _NAME_MEMBERS.fullmatch(member):
            return text
        return re.sub(r"\bSample\b", last, re.sub(r"\bAlex( Q)?\b", first, text))

    if owner != ("Alex", "Sample"):
        renamed = _changed(data, rename)
        data.update(renamed if isinstance(renamed, dict) else {})


def _move_house(data: Record, asked: Asked) -> None:
    """Put the property, and the mail of an owner who lives there, at the address that was asked for."""
    address = section(data, "propertyInfo", "address")
    mail = section(data, "ownerInfo", "mailAddress")
    lives_there = bool(mail) and (mail.get("house"), mail.get("zip")) == (address.get("house"), address.get("zip"))
    zip_text = address.get("zip")
    lost_zero = isinstance(zip_text, str) and len(zip_text) < 5
    before = dict(address)
    _write_address(address, asked, lost_zero=lost_zero)
    if (address["address"], address["zip"]) == (before.get("address"), before.get("zip")):
        return  # the sample's own house keeps its ids
    if lives_there:
        _write_address(mail, asked, lost_zero=lost_zero)
    property_id = 190_000_000 + _number(asked.key) % 9_000_000
    data["id"] = str(property_id) if isinstance(data.get("id"), str) else property_id
    if section(data, "taxInfo").get("propertyId") is not None:
        section(data, "taxInfo")["propertyId"] = data["id"]


def _write_address(address: Record, asked: Asked, *, lost_zero: bool) -> None:
    words = [_titled(word) for word in asked.street.split()]
    has_type = len(words) > 1
    line = " ".join([asked.house, *words])
    if asked.unit:
        line += f" Apt {asked.unit}"
        address.update(unit=asked.unit, unitType="Apt")
    address.update(address=line, house=asked.house, street=" ".join(words[:-1] if has_type else words))
    address["streetType"] = words[-1] if has_type else None
    if asked.city:
        address["city"] = " ".join(_titled(word) for word in asked.city.split())
    if asked.state:
        address["state"] = asked.state
    if asked.zip5:
        address["zip"] = asked.zip5.lstrip("0") if lost_zero else asked.zip5
    state = str(address.get("state") or "")
    # The vendor writes the state of its label as "Il".
    address["label"] = f"{line}, {address.get('city')}, {state.title()} {asked.zip5 or address.get('zip')}"


def _next_door(data: Record, asked: Asked) -> None:
    digits = re.search(r"\d+", asked.house)
    number = str(int(digits[0]) + 2) if digits else "2"
    _write_address(section(data, "propertyInfo", "address"), replace(asked, house=number), lost_zero=False)


def _vary(data: Record, asked: Asked) -> None:
    """Make a generated record its own: value, loan and house differ by address, consistently with each other."""
    seed = _number(asked.key)
    value = 150_000 + seed % 650 * 1_000
    balance = value * (seed // 7 % 70) // 100  # up to 69 % owed: never short of equity
    sqft = 900 + seed // 11 % 2_600
    data.update(estimatedValue=value, estimatedEquity=value - balance, estimatedMortgageBalance=str(balance))
    data.update(equityPercent=round(100 * (value - balance) / value))
    info = section(data, "propertyInfo")
    info.update(bedrooms=2 + seed // 13 % 4, bathrooms=1 + seed // 17 % 3, livingSquareFeet=sqft)
    info.update(buildingSquareFeet=sqft, yearBuilt=1920 + seed // 19 % 95)
    # A trust is on title: whatever the lead's name is, the owner check says "unknown", not "somebody else".
    trust = f"The {street_key(asked.street).title()} Trust"
    owner = section(data, "ownerInfo")
    owner.update(owner1FullName=trust, owner1LastName=trust, owner1FirstName=None, owner1Type="Other")
    owner.update(owner2FullName="", owner2LastName=None, owner2FirstName=None)


def _titled(word: str) -> str:
    return word if word in _DIRECTIONS else word.capitalize()


def _number(key: str) -> int:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:6])
