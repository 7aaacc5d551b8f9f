"""From a value of the record to a value of a custom field. None is missing: nothing usable was there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from leadenrich.core.lead import FieldValue, Json
from leadenrich.enrich.derived import Kind, Reading
from leadenrich.enrich.record import YEAR_MIN, address_line, as_day, as_flag, as_number, as_text, rounded

Gives: TypeAlias = Literal["text", "number", "date"]

_PROPERTY_TYPES: Final = {
    "SFR": "Single Family",
    "MFR": "Multi Family",
    "CONDO": "Condo",
    "MOBILE": "Mobile Home",
    "LAND": "Land",
    "OTHER": "Other",
}
_CENTS_ABOVE: Final = 0.2  # of the assessed value: no county taxes a fifth of it in a year


@dataclass(frozen=True, slots=True)
class Transform:
    """`takes` are the kinds of values it can read, `gives` what the custom field gets. `apply` sees the whole record,
    which is None for the values that are ours."""

    takes: frozenset[Kind]
    gives: Gives
    apply: Callable[[Json, Reading | None], FieldValue]


def _plain(read: Callable[[Json], FieldValue]) -> Callable[[Json, Reading | None], FieldValue]:
    return lambda value, _reading: read(value)


def _yes_no(yes: str, no: str) -> Callable[[Json], FieldValue]:
    def read(value: Json) -> FieldValue:
        told = as_flag(value)
        return None if told is None else yes if told else no

    return read


def _whole(value: Json) -> FieldValue:
    number = as_number(value)
    return None if number is None else rounded(number)


def _positive(value: Json) -> FieldValue:
    number = as_number(value)
    return None if number is None or number <= 0 else rounded(number) or None


def _years(value: Json) -> FieldValue:
    months = as_number(value)
    return None if months is None or months < 0 else rounded(months / 12, 1)


def _date(value: Json) -> FieldValue:
    day = as_day(value)
    return day.isoformat() if day else None


def _year(value: Json, reading: Reading | None) -> FieldValue:
    year = as_number(value)
    year_max = reading.today.year + 1 if reading else YEAR_MIN
    return year if isinstance(year, int) and YEAR_MIN <= year <= year_max else None


def _tax_amount(value: Json, reading: Reading | None) -> FieldValue:
    """Two published examples carry cents as an integer, a third dollars with decimals."""
    tax = as_number(value)
    assessed = reading.record.number("data.taxInfo.assessedValue") if reading else None
    without_decimals = isinstance(value, int) or (isinstance(value, str) and "." not in value)
    if tax is not None and assessed is not None and without_decimals and tax > _CENTS_ABOVE * assessed > 0:
        return None
    return tax


def _property_type(value: Json) -> FieldValue:
    return _PROPERTY_TYPES.get((as_text(value) or "").upper())


def _joined(separator: str) -> Callable[[Json], FieldValue]:
    def read(value: Json) -> FieldValue:
        several = value if isinstance(value, list) else [value]
        return separator.join(filter(None, map(as_text, several))) or None

    return read


_TEXTS: Final[frozenset[Kind]] = frozenset({"text", "number", "date"})
_NUMBERS: Final[frozenset[Kind]] = frozenset({"number", "text"})
_DATES: Final[frozenset[Kind]] = frozenset({"date", "text"})
_FLAGS: Final[frozenset[Kind]] = frozenset({"flag"})
_LISTS: Final[frozenset[Kind]] = frozenset({"list", "text"})

TRANSFORMS: Final[dict[str, Transform]] = {
    "text": Transform(_TEXTS, "text", _plain(as_text)),
    "id_text": Transform(_TEXTS, "text", _plain(as_text)),
    "yes_no": Transform(_FLAGS, "text", _plain(_yes_no("Yes", "No"))),
    "y_n": Transform(_FLAGS, "text", _plain(_yes_no("Y", "N"))),
    "number": Transform(_NUMBERS, "number", _plain(as_number)),
    "positive_int": Transform(_NUMBERS, "number", _plain(_positive)),
    "money": Transform(_NUMBERS, "number", _plain(_whole)),
    "positive_money": Transform(_NUMBERS, "number", _plain(_positive)),
    "year": Transform(_NUMBERS, "number", _year),
    "date": Transform(_DATES, "date", _plain(_date)),
    "months_to_years_1dp": Transform(_NUMBERS, "number", _plain(_years)),
    "address_line": Transform(frozenset({"object"}), "text", _plain(address_line)),
    "property_type_name": Transform(frozenset({"text"}), "text", _plain(_property_type)),
    "tax_amount": Transform(_NUMBERS, "number", _tax_amount),
    "join_comma": Transform(_LISTS, "text", _plain(_joined(","))),
    "join_lines": Transform(_LISTS, "text", _plain(_joined("\n"))),
}
