"""A phone as people type it: `(217) 555-0113`, `217.555.0113`, `+1 217 555 0113`, `phone: 2175550113 ext. 4`."""

from __future__ import annotations

import re
from typing import Final

_LAST: Final = 10  # digits: what is left of a US number without its country
_LEAST: Final = 4
_CHARS_MAX: Final = 60  # more is no phone, and the pattern takes time by the square
_NOT_DIGIT: Final = re.compile(r"\D")
_PHONE: Final = re.compile(
    r"(?:(?:tele)?phone|tel|mobile|cell)?[\s.:#]*"
    r"(?P<number>[\d\s().+/\u2010-\u2015-]+)"
    r"(?:x\s*\d+|ext(?:ension)?\.?\s*\d+)?",
    re.IGNORECASE,
)


def phone_typed(text: str) -> str:
    """Its last ten digits, or as many as were typed; "" for fewer than four, and for what is no phone."""
    text = text.strip()
    typed = _PHONE.fullmatch(text) if len(text) <= _CHARS_MAX else None
    digits = digits_of(typed["number"]) if typed else ""
    return digits[-_LAST:] if len(digits) >= _LEAST else ""


def digits_of(phone: str) -> str:
    return _NOT_DIGIT.sub("", phone)
