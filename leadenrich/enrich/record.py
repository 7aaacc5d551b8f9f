"""A property's record as RealEstateAPI answers it, read with patience.

Every value may be absent, null or of another type. The paths, and with them the mapping and the rules, are those of
`POST /v2/PropertyDetail`.
"""

from __future__ import annotations

import re
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from leadenrich.core.lead import Json

NUMBER_MAX: Final = 10**15  # beyond it a number is a mistake, and no JSON reader keeps it exact
YEAR_MIN: Final = 1700

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
# Published examples of the vendor spell these both ways.
_SPELLINGS: Final = {
    "lastSale": "last_sale",
    "last_sale": "lastSale",
    "seqNo": "seq",
    "seq": "seqNo",
    "hoa": "hoaFlag",
    "hoaFlag": "hoa",
    "basementSquareFeetUnfinished": "basementSquareFeetUnFinished",
    "basementSquareFeetUnFinished": "basementSquareFeetUnfinished",
}


def as_number(value: Json) -> int | float | None:
    """A number, or a text that is one without `$`, `,` and blanks. Whole ones come as int; NaN and inf are missing."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str):
        text = re.sub(r"[$,\s]", "", value)
        if len(text) > 40 or not _NUMBER.fullmatch(text):
            return None
        value = float(text) if re.search(r"[.eE]", text) else int(text)
    # NaN fails the comparison; math.isfinite would raise for an int of 400 digits.
    if not isinstance(value, int | float) or not -NUMBER_MAX <= value <= NUMBER_MAX:
        return None
    return int(value) if value == int(value) else value


def as_text(value: Json) -> str | None:
    """Trimmed text with single blanks; a number becomes its digits. Empty is missing."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        number = as_number(value)
        return None if number is None else str(number)
    if isinstance(value, str):
        return " ".join(value.split()) or None
    return None


def as_flag(value: Json) -> bool | None:
    """Only a literal true or false: `1`, `"1"` and `"true"` are not taken for one."""
    return value if isinstance(value, bool) else None


def as_day(value: Json) -> date | None:
    """The first ten characters as a date: `2026-11-02`, `…T00:00:00.000Z` and `… 00:00:00 UTC` alike."""
    if not isinstance(value, str):
        return None
    text = value.strip()[:10]
    if not _DAY.fullmatch(text):
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if day.year >= YEAR_MIN else None


def as_zip5(value: Json) -> str | None:
    """Five digits. A zip that lost its leading zeros gets them back; ZIP+4 is cut."""
    text = (as_text(value) or "").partition("-")[0].strip()
    if not re.fullmatch(r"\d{3,9}", text, re.ASCII) or len(text) == 6:
        return None
    return text.zfill(5) if len(text) <= 5 else text.zfill(9)[:5]


def rounded(number: int | float, places: int = 0) -> int | float:
    """Half away from zero, as people round; whole results are int."""
    exact = Decimal(str(number)).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    return int(exact) if exact == exact.to_integral_value() else float(exact)


class PropertyRecord:
    """One answer, `{"data": {…}, "live": …}`. Every reader answers None for what is missing or unusable."""

    __slots__ = ("answer",)

    def __init__(self, answer: dict[str, Json]) -> None:
        self.answer = answer

    def get(self, path: str) -> Json:
        """The raw value at `data.currentMortgages.0.lenderName`; a lone value stands for a list of one."""
        here: Json = self.answer
        for part in path.split("."):
            if isinstance(here, list):
                here = here[int(part)] if part.isdecimal() and int(part) < len(here) else None
            elif isinstance(here, dict):
                here = _member(here, part)
            elif part != "0":
                return None
            if here is None:
                return None
        return here

    def text(self, path: str) -> str | None:
        return as_text(self.get(path))

    def number(self, path: str) -> int | float | None:
        return as_number(self.get(path))

    def flag(self, path: str) -> bool | None:
        return as_flag(self.get(path))

    def day(self, path: str) -> date | None:
        return as_day(self.get(path))

    def rows(self, path: str) -> list[dict[str, Json]]:
        """The objects of a list; whatever else is in it is passed over."""
        found = self.get(path)
        rows = found if isinstance(found, list) else [found]
        return [row for row in rows if isinstance(row, dict)]

    @property
    def live(self) -> bool:
        """False when a test key answered: limited or mock data."""
        return self.get("live") is not False


def _member(node: dict[str, Json], name: str) -> Json:
    value = node.get(name)
    if value is None and name in _SPELLINGS:
        value = node.get(_SPELLINGS[name])
    if value is None and name == "0":
        return node  # a list of one, sent without its brackets
    return value


def address_line(parts: Json) -> str | None:
    """`742 Evergreen Ter, Springfield, IL 62704`, built from its parts: the vendor's label writes the state as `Il`.

    A line that names no place, or no street, is missing: it would replace a better one.
    """
    if not isinstance(parts, dict):
        return None
    street = as_text(parts.get("address")) or _street(parts)
    city, zip5 = as_text(parts.get("city")), as_zip5(parts.get("zip"))
    state = (as_text(parts.get("state")) or "").upper()
    if not street or not (city or zip5):
        return None
    region = " ".join(part for part in (state, zip5) if part)
    return ", ".join(part for part in (street, city, region) if part)


def _street(parts: dict[str, Json]) -> str | None:
    house, street = as_text(parts.get("house")), as_text(parts.get("street"))
    if not house or not street:
        return None
    names = ("house", "preDirection", "street", "streetType", "unitType", "unit")
    return " ".join(filter(None, (as_text(parts.get(name)) for name in names)))
