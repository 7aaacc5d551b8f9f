"""What people type for an address, cleaned; and what can be told from the text alone, before it is parsed."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from leadenrich.core.states import state_of_zip

LENGTH_MAX: Final = 250  # characters; longer texts are no address, and parsing time grows with length
TYPED_MAX: Final = 1_000  # of a field as it came: to clean blanks or stacked accents takes time by the square

_PLACEHOLDERS: Final = frozenset(
    {"", "na", "none", "null", "nil", "no address", "not available", "unknown", "tbd", "test", "x", "xx", "xxx"}
)
_VULGAR: Final = re.compile(r"(\d)([\u00bc-\u00be\u2150-\u215f])")
_ZIP: Final = re.compile(r"(?<!\d)(\d{5})(?:-?\d{4})?(?!\d)")
_SHORT_ZIP: Final = re.compile(r"(?<!\d)(\d{3,4})(?:-\d{4})?(?!\d)")
_LABELLED_ZIP: Final = re.compile(r"\b(?:z|zip|zip ?code|postal ?code)\s*[:.#]\s*(\d{5}(?:-\d{4})?)\b", re.IGNORECASE)
_ENDING_ZIP: Final = re.compile(r"(?<![\d#])(\d{5})(?:-\d{4})?\W*$")
_US: Final = re.compile(r"[\s,]+(?:U\.?\s?S\.?\s?A\.?|U\.S\.?|United States(?: of America)?)\W*$", re.IGNORECASE)
_US_NAMES: Final = frozenset({"us", "usa", "united states", "united states of america", "america", "estados unidos"})
_TERRITORIES: Final = frozenset({"pr", "puerto rico", "gu", "guam", "vi", "as", "mp", "us virgin islands"})
_ABROAD: Final = re.compile(
    r",\s*(?:UK|U\.K\.|United Kingdom|England|Scotland|Wales|Great Britain|Ireland|Canada|Mexico|México|Australia"
    r"|New Zealand|Germany|Deutschland|France|Spain|Italy|Netherlands|India|Philippines|Israel|Brazil|Japan|China)\W*$",
    re.IGNORECASE,
)
_CANADA: Final = re.compile(r"\b[A-Z]\d[A-Z][ -]?\d[A-Z]\d\W*$", re.IGNORECASE)
_BRITAIN: Final = re.compile(r"\b[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}\W*$", re.IGNORECASE)
_PO_BOX: Final = re.compile(
    r"\bP\.?\s*O\.?\s*B(?:OX|\.)|\bPOST(?:AL)? OFFICE BOX\b|\bPOB \d|^(?:BOX|LOCK ?BOX|CALLER) \d|^GENERAL DELIVERY\b"
    r"|\b(?:R\.?\s?R\.?|R\.?F\.?D\.?|H\.?C\.?R?\.?|RURAL (?:ROUTE|RTE)|RTE?|ROUTE|HIGHWAY CONTRACT)"
    r"\s*#?\s*\d+\w?,?\s+BOX\b"
    r"|^(?:R\.?R\.?|R\.?F\.?D\.?|H\.?C\.?R?\.?|RURAL (?:ROUTE|RTE)) #?\d"
    r"|^(?:PSC|CMR|UNIT) \d+,? BOX \d|\b[AFD]PO,? A[AEP]\b",
    re.IGNORECASE,
)


def clean(text: str) -> str:
    """NFKC, one line (breaks and tabs become ", "), single blanks; "" for what people type to say nothing."""
    text = _VULGAR.sub(r"\1 \2", text)  # NFKC alone makes 1001/2 of 100½
    text = unicodedata.normalize("NFKC", text).replace("\u2044", "/")
    # A break that a normaliser drops would join the words ("STBORING").
    text = re.sub(r"[,\s]*[\n\r\t\v\f\u0085\u2028\u2029][,\s]*", ", ", text)
    text = "".join(char for char in text if unicodedata.category(char)[0] != "C")
    text = " ".join(text.split()).strip(" ,;\"'")
    plain = re.sub(r"[^\w ]+", "", text).casefold().strip("_ ")
    return "" if plain in _PLACEHOLDERS else text


def one_line(text: str) -> str:
    """A cleaned whole address without a trailing USA and without a label inside the zip (`z:97203`)."""
    return _LABELLED_ZIP.sub(r"\1", _US.sub("", text)).strip(" ,")


def zip5_in(text: str) -> str:
    """The five-digit zip of a zip field, its lost leading zeros put back; "" when the USPS assigned no such zip."""
    if match := _ZIP.search(text):
        return match[1] if state_of_zip(match[1]) else ""
    match = _SHORT_ZIP.search(text)
    padded = match[1].zfill(5) if match else ""
    return padded if padded and state_of_zip(padded) else ""


def ending_zip(text: str) -> str:
    """The zip a text ends in, else ""."""
    match = _ENDING_ZIP.search(text)
    return match[1] if match and state_of_zip(match[1]) else ""


def is_abroad(text: str, zip_text: str, country: str) -> bool:
    """Whether the country, the form of the postal code, or the end of the address says it is not in the US."""
    named = re.sub(r"[^\w ]+", "", country).casefold().strip()
    if named and named not in _US_NAMES and named not in _TERRITORIES:
        return True
    if any(pattern.search(zip_text) for pattern in (_CANADA, _BRITAIN)):
        return True
    if ending_zip(text):
        return False
    return any(pattern.search(text) for pattern in (_ABROAD, _CANADA, _BRITAIN))


def is_po_box(text: str) -> bool:
    """PO box, rural or highway route box, military mail, general delivery."""
    return bool(_PO_BOX.search(text))
