"""What a property provider answers: address in, one of these out. Errors are raised, see core/errors.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from leadenrich.core.lead import Json


@dataclass(frozen=True, slots=True)
class Found:
    """A property's record. `record` is the provider's answer as parsed JSON: `{"data": {…}, "live": …}`.

    `live` is False when a test key answered: limited or mock data.
    """

    record: dict[str, Json]
    property_id: str
    live: bool = True


@dataclass(frozen=True, slots=True)
class NoMatch:
    """The provider knows no such property. Terminal, and not an error."""

    reason: str


@dataclass(frozen=True, slots=True)
class BadAddress:
    """The provider refused the address itself (a 400 naming zip, state, house, city or address)."""

    reason: str


LookupAnswer: TypeAlias = Found | NoMatch | BadAddress
