"""Does the lead's name stand on the title? Names are compared without case, accents and punctuation."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from leadenrich.enrich.record import PropertyRecord, as_text

OwnerMatch: TypeAlias = Literal["MATCH", "NO_MATCH", "UNKNOWN"]

_OWNER: Final = "data.ownerInfo."
_SUFFIXES: Final = frozenset({"jr", "sr", "ii", "iii", "iv", "esq", "md", "phd"})
_NOT_A_NAME: Final = frozenset({"", "unknown", "none", "null", "na", "n a", "test", "lead"})
_NAME_MAX: Final = 1_000  # characters; over stacked accents Unicode's normal form takes time by the square
_WORDS_JOINED_MAX: Final = 4  # "De La Cruz" on one side, "Delacruz" on the other


@dataclass(frozen=True, slots=True)
class LeadNames:
    """What the contact is called. Either may be empty, and people swap them."""

    first: str = ""
    last: str = ""


def words_of(name: str) -> list[str]:
    """`O'Néill-Smith Jr.` → `["oneill", "smith", "jr"]`."""
    decomposed = unicodedata.normalize("NFKD", name[:_NAME_MAX])
    plain = "".join(c for c in decomposed if not unicodedata.combining(c)).casefold()
    return re.findall(r"\w+", re.sub(r"['’`]", "", plain))


def owner_match(record: PropertyRecord, lead: LeadNames) -> OwnerMatch:
    """MATCH: the last name is a whole word of an owner's or company's name.

    NO_MATCH: owner 1 is a person and nobody on the title carries it. Companies, trusts and nameless owners: UNKNOWN.
    """
    surname = _surname(lead)
    if not surname:
        return "UNKNOWN"
    owner1 = [name for part in ("owner1FullName", "owner1LastName") if (name := record.text(_OWNER + part))]
    if any(_carries(words_of(name), surname) for name in [*owner1, *_other_names(record)]):
        return "MATCH"
    # First and last name swapped: the lead's first name must be an owner's whole surname, not just any word.
    first = words_of(lead.first)
    lasts = (record.text(_OWNER + part) for part in ("owner1LastName", "owner2LastName"))
    if first and any(words_of(last) == first for last in lasts if last):
        return "MATCH"
    person = record.text(_OWNER + "owner1Type") == "Individual"
    return "NO_MATCH" if person and owner1 else "UNKNOWN"


def _surname(lead: LeadNames) -> list[str]:
    """The words of the last name; of a full name typed into the first name's box, its last word."""
    words = words_of(lead.last)
    if not words:
        whole = [word for word in words_of(lead.first) if word not in _SUFFIXES]
        words = whole[-1:] if len(whole) > 1 else []
    words = [word for word in words if word not in _SUFFIXES] or words
    text = " ".join(words)
    return [] if text in _NOT_A_NAME or len(text) < 2 else words


def _other_names(record: PropertyRecord) -> list[str]:
    listed = record.get(_OWNER + "ownerNames")
    several = listed if isinstance(listed, list) else [listed]
    parts = ("owner2FullName", "owner2LastName", "companyName")
    return [name for value in [*(record.get(_OWNER + part) for part in parts), *several] if (name := as_text(value))]


def _carries(name: list[str], surname: list[str]) -> bool:
    wanted = "".join(surname)
    return any(
        "".join(name[start:end]) == wanted
        for start in range(len(name))
        for end in range(start + 1, min(start + _WORDS_JOINED_MAX, len(name)) + 1)
    )
