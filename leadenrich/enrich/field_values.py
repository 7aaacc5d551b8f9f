"""Custom field values as HighLevel keeps them: when two are the same, and what its type can hold."""

from __future__ import annotations

from typing import Final

from leadenrich.core.lead import FieldValue
from leadenrich.enrich.record import as_number

_NUMBERS: Final = frozenset({"NUMERICAL", "MONETORY"})  # so spelled by HighLevel
_TEXTS: Final = frozenset({"TEXT", "LARGE_TEXT", "SINGLE_OPTIONS", "RADIO"})


def same_value(held: FieldValue, wanted: FieldValue, data_type: str) -> bool:
    """Whether writing would change nothing: 3, "3" and 3.0 are one number, a date is its day, empty is missing."""
    if _is_blank(held) or _is_blank(wanted):
        return _is_blank(held) and _is_blank(wanted)
    if data_type in _NUMBERS or isinstance(wanted, int | float):
        numbers = (_number(held), _number(wanted))
        if None not in numbers:
            return numbers[0] == numbers[1]
    if data_type == "DATE":
        return str(held)[:10] == str(wanted)[:10]  # HighLevel keeps the day only
    if isinstance(held, list) or isinstance(wanted, list):
        return _options(held) == _options(wanted)
    return _text(held) == _text(wanted)


def fitted(value: FieldValue, data_type: str) -> FieldValue:
    """The value in the form that the location's field takes, which people may have made with another type."""
    if data_type in _NUMBERS and isinstance(value, str):
        number = as_number(value)
        return value if number is None else number
    if data_type in _TEXTS and isinstance(value, int | float):
        return str(value)
    return value


def _is_blank(value: FieldValue) -> bool:
    return value is None or value == [] or (isinstance(value, str) and not value.strip())


def _number(value: FieldValue) -> int | float | None:
    return None if isinstance(value, list) else as_number(value)


def _options(value: FieldValue) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return sorted(_text(option) for option in values)


def _text(value: FieldValue) -> str:
    return "\n".join(line.strip() for line in str(value).strip().splitlines())
