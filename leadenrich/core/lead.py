"""A lead as it came in, and the cheap fingerprint of its address."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Literal, TypeAlias

import msgspec

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
FieldValue: TypeAlias = str | int | float | bool | list[str] | None

EventKind: TypeAlias = Literal[
    "create", "update", "tags", "opportunity", "delete", "workflow", "api", "import", "backfill"
]


class PostalAddress(msgspec.Struct, frozen=True, omit_defaults=True):
    """An address as people typed it: any part may be empty. `full` is a one-line form, used when `line1` is empty."""

    line1: str = ""
    city: str = ""
    state: str = ""
    postal_code: str = ""
    country: str = ""
    full: str = ""

    def __bool__(self) -> bool:
        return bool(self.line1.strip() or self.full.strip())


class Lead(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One contact of one HighLevel location, as an event told it. This is what a job's payload holds.

    `custom_fields` maps field id to value and is None where the event did not carry them; `tags` likewise. They are
    what the event told, so they may be stale.
    `event_ms` is the vendor's time of the event, epoch milliseconds; 0 when it told none.
    """

    location_id: str
    contact_id: str
    kind: EventKind
    event_ms: int = 0
    address: PostalAddress = PostalAddress()
    first_name: str = ""
    last_name: str = ""
    name: str = ""
    email: str = ""
    phone: str = ""
    tags: tuple[str, ...] | None = None
    custom_fields: dict[str, FieldValue] | None = None
    workflow_id: str = ""


_NOT_WORD = re.compile(r"[^\w]+")
_FOLDED_MAX = 1_000  # characters; over stacked accents Unicode's normal form takes time by the square
_NOT_DIGIT = re.compile(r"\D")
_ASCII_FOLDED = _NOT_WORD.sub(lambda found: " " * len(found[0]), bytes(range(128)).decode()).lower().encode().ljust(256)


@lru_cache(maxsize=256)  # a door asks for its key, then the queue for what it keeps
def fingerprint(address: PostalAddress) -> str:
    """Case-folded street, city, state and zip5 without punctuation; "" for no address.

    It only tells whether an address changed; what is bought is keyed by the normalised address.
    """
    if not address:
        return ""
    zip5 = _NOT_DIGIT.sub("", address.postal_code)[:5]
    return "|".join(
        [_folded(address.line1 or address.full), _folded(address.city), _folded(address.state), _folded(zip5)]
    )


def _folded(text: str) -> str:
    text = text[:_FOLDED_MAX]
    if text.isascii():  # the same, at a third of the cost: NFKC changes nothing here
        return b" ".join(text.encode().translate(_ASCII_FOLDED).split()).decode()
    return _NOT_WORD.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()
