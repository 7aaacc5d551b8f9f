"""The parser behind address.py: usaddress labels the words, scourgify's tables of USPS short forms replace them.

Both are used part by part: scourgify's own entry points raise on much that people type, and its model is loaded
on first use, since it takes longer to import than most commands run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final, NamedTuple

_STREET_LABELS: Final = (
    "StreetNamePreModifier",
    "StreetNamePreDirectional",
    "StreetNamePreType",
    "StreetName",
    "StreetNamePostType",
    "StreetNamePostDirectional",
    "StreetNamePostModifier",
)
_TYPES: Final = frozenset({"StreetNamePreType", "StreetNamePostType"})
_DIRECTIONS: Final = frozenset({"StreetNamePreDirectional", "StreetNamePostDirectional"})
_NAMED_PLACES: Final = ("BuildingName", "LandmarkName")
# Units that need no number.
_LONE_UNITS: Final = {
    "PENTHOUSE": "PH",
    "PH": "PH",
    "BASEMENT": "BSMT",
    "BSMT": "BSMT",
    "REAR": "REAR",
    "FRONT": "FRNT",
}
_UNIT: Final = re.compile(
    r"[\s,]+(?:(?:APT|APARTMENT|UNIT|STE|SUITE|LOT|TRLR|SPC|SPACE|RM|ROOM|FL|FLOOR)\b\.?\s*#?|#)\s*([\w-]+)$"
)


class _Library(NamedTuple):
    usaddress: Any
    clean: Any
    constants: Any
    normalize: Any


@cache
def _library() -> _Library:
    import usaddress  # type: ignore[import-untyped]
    from scourgify import address_constants, cleaning, normalize  # type: ignore[import-untyped]

    return _Library(usaddress, cleaning, address_constants, normalize)


def plain(text: str) -> str:
    """Upper case without accents and punctuation, except `-`, `/` and `.` inside numbers."""
    cleaned = _library().clean.post_clean_addr_str(re.sub(r"\.(?!\d)", "", text)) if text else ""
    return " ".join(re.sub(r"[^A-Z0-9/. -]+", " ", cleaned or "").split())


def label(text: str) -> dict[str, str] | None:
    """usaddress' labels of a one-line address, words in upper case; None when it finds a label twice."""
    library = _library()
    cleaned = library.clean.pre_clean_addr_str(text)
    try:
        tags, _kind = library.usaddress.tag(cleaned)
    except library.usaddress.RepeatedLabelError:
        return None
    return dict(tags)


def label_by_hand(line: str) -> dict[str, str]:
    """The same labels for a street that the model misreads: the house first, a unit last, between them the rest."""
    constants = _library().constants
    cleaned = re.sub(r"\.(?!\d)", "", _library().clean.pre_clean_addr_str(line)).strip(" ,")
    tags: dict[str, str] = {}
    if unit := _UNIT.search(cleaned):
        tags["OccupancyIdentifier"], cleaned = unit[1], cleaned[: unit.start()]
    words = cleaned.replace(",", " ").split()
    if len(words) > 3 and words[-1] in _LONE_UNITS:
        tags["OccupancyType"] = words.pop()
    if words:
        tags["AddressNumber"] = words.pop(0)
    if words and re.fullmatch(r"\d/\d", words[0]):
        tags["AddressNumberSuffix"] = words.pop(0)
    after: dict[str, str] = {}
    if len(words) > 1 and _direction(words[0]):
        tags["StreetNamePreDirectional"] = words.pop(0)
    if len(words) > 2 and _direction(words[-1]):
        after["StreetNamePostDirectional"] = words.pop()
    if len(words) > 1 and words[-1] in constants.STREET_TYPE_ABBREVIATIONS:
        after = {"StreetNamePostType": words.pop()} | after
    tags["StreetName"] = " ".join(words)
    return tags | after


def is_intersection(tags: Mapping[str, str]) -> bool:
    return "IntersectionSeparator" in tags or "CornerOf" in tags or "&" in tags.get("StreetName", "")


def house_of(tags: Mapping[str, str]) -> str:
    """`100 1/2`, `12-34`, `W7373`, `123A`; "" without one."""
    number = plain(tags.get("AddressNumber", ""))
    if not number and (match := _named_number(tags)):
        return match[1]
    prefix, suffix = plain(tags.get("AddressNumberPrefix", "")), plain(tags.get("AddressNumberSuffix", ""))
    gap = " " if suffix and not suffix.isalpha() else ""
    return f"{prefix}{number}{gap}{suffix}".strip()


def street_of(tags: Mapping[str, str]) -> str:
    """Direction, name and type of the street in USPS short forms."""
    if not tags.get("StreetName") and "AddressNumber" not in tags and (match := _named_number(tags)):
        return match[2]  # `1 World Trade Center` reads as the name of a building
    return _joined(tags, {label: _short(label, word) for label, word in _numbered(tags).items()})


def long_street_of(tags: Mapping[str, str]) -> str:
    """The same with directions and street types in full."""
    return _joined(tags, {label: _long(label, _short(label, word)) for label, word in _numbered(tags).items()})


def unit_of(tags: Mapping[str, str]) -> str:
    """The value without designator and punctuation; blanks stay between digits only (building 3, unit 5)."""
    values = (tags.get(name, "") for name in ("SubaddressIdentifier", "OccupancyIdentifier"))
    unit = " ".join(re.sub(r"[^A-Z0-9 ]+", "", plain(value)) for value in values if value)
    if not unit.strip():
        unit = _LONE_UNITS.get(tags.get("OccupancyType", "").strip(" ,."), "")
    return re.sub(r"(?<!\d) +| +(?!\d)", "", unit.strip())


def same_words(word: str) -> frozenset[str]:
    """Other spellings of a word of a street, lower case: `st` for `street`, `north` for `n`; none for other words."""
    return _spellings().get(word, frozenset()) - {word}


@cache
def _spellings() -> Mapping[str, frozenset[str]]:
    constants = _library().constants
    same: dict[str, set[str]] = {}
    for table in (constants.STREET_TYPE_ABBREVIATIONS, constants.DIRECTIONAL_REPLACEMENTS):
        for long, short in table.items():
            same.setdefault(short.lower(), {short.lower()}).add(long.lower())
    return {word: frozenset(words) for words in same.values() for word in words}


def _direction(word: str) -> str:
    """`SW` for `SOUTHWEST`, `S W` and `SW`; "" for what is no direction."""
    bare = re.sub(r"[^A-Z]+", "", word.upper())
    constants = _library().constants
    short: str = constants.DIRECTIONAL_REPLACEMENTS.get(bare, bare)
    return short if short in constants.LONGHAND_DIRECTIONALS else ""


def _short(label: str, word: str) -> str:
    if label in _DIRECTIONS:
        return _direction(word) or word
    if label in _TYPES:
        types: Mapping[str, str] = _library().constants.STREET_TYPE_ABBREVIATIONS
        return " ".join(types.get(part, part) for part in plain(word).split())
    return word


def _long(label: str, word: str) -> str:
    constants = _library().constants
    if label in _DIRECTIONS:
        return str(constants.LONGHAND_DIRECTIONALS.get(word, word))
    if label in _TYPES:
        types: Mapping[str, str] = constants.LONGHAND_STREET_TYPES
        return " ".join(types.get(part, part) for part in word.split())
    return word


def _numbered(tags: Mapping[str, str]) -> dict[str, str]:
    """The street's words, an ordinal made of a bare number with a type: `5 AVE` is `5TH AVE`."""
    words = {label: tags[label].strip(" ,") for label in tags if label in _STREET_LABELS}
    if words.get("StreetName", "").isascii() and "StreetNamePostType" in words:
        normalize = _library().normalize
        return dict(normalize.normalize_numbered_streets(words))
    return words


def _joined(tags: Mapping[str, str], words: Mapping[str, str]) -> str:
    return plain(" ".join(words[label] for label in tags if label in words))


def _named_number(tags: Mapping[str, str]) -> re.Match[str] | None:
    names: Iterable[str] = (plain(tags.get(name, "")) for name in _NAMED_PLACES)
    return next((match for name in names if (match := re.fullmatch(r"(\d+[A-Z]?) (.*[A-Z].*)", name))), None)
