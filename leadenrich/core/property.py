"""What a property provider answers: address in, one of these out. Errors are raised, see core/errors.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import msgspec

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


# As it is kept, in the cache and in a job's checkpoint: the `kind` tells them apart.
class _Found(msgspec.Struct, frozen=True, tag_field="kind", tag="found"):
    record: dict[str, Any]
    property_id: str
    live: bool = True


class _NoMatch(msgspec.Struct, frozen=True, tag_field="kind", tag="no_match"):
    reason: str


class _BadAddress(msgspec.Struct, frozen=True, tag_field="kind", tag="bad_address"):
    reason: str


_DECODER: Final[msgspec.json.Decoder[_Found | _NoMatch | _BadAddress]] = msgspec.json.Decoder(
    _Found | _NoMatch | _BadAddress
)


def encode_answer(answer: LookupAnswer) -> bytes:
    """The answer as JSON, for the cache and the checkpoint; `decode_answer` gives it back."""
    match answer:
        case Found(record, property_id, live):
            return msgspec.json.encode(_Found(record, property_id, live))
        case NoMatch(reason):
            return msgspec.json.encode(_NoMatch(reason))
        case BadAddress(reason):
            return msgspec.json.encode(_BadAddress(reason))


def decode_answer(stored: bytes) -> LookupAnswer:
    """Raises: msgspec.DecodeError, for what `encode_answer` of this version did not write."""
    match _DECODER.decode(stored):
        case _Found(record, property_id, live):
            return Found(record, property_id, live)
        case _NoMatch(reason):
            return NoMatch(reason)
        case _BadAddress(reason):
            return BadAddress(reason)
