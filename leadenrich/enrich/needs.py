"""What the enrichment needs of the world: protocols that providers and store fulfil, wired up by the daemon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from leadenrich.core.address import NormalAddress
from leadenrich.core.contact import Contact, CustomField
from leadenrich.core.job import StepRecord
from leadenrich.core.lead import FieldValue
from leadenrich.core.property import LookupAnswer


class Clock(Protocol):
    """Wall-clock time, aware, UTC."""

    def now(self) -> datetime: ...


class Crm(Protocol):
    """HighLevel. Every method sends one request; every write is safe to repeat.

    Raises: Transient, Throttled, ProviderOut; Permanent (contact_not_found, rejected_by_provider).
    """

    async def contact(self, location_id: str, contact_id: str) -> Contact: ...

    async def custom_fields(self, location_id: str, *, refresh: bool = False) -> Mapping[str, CustomField]:
        """Key → field, cached; `refresh` reads again. A field is found by `contact.<key>`, else by its name."""
        ...

    async def update_fields(
        self, location_id: str, contact_id: str, fields: Mapping[str, FieldValue]
    ) -> Mapping[str, FieldValue]:
        """Set custom fields by id; answers what the contact holds afterwards, field id → value."""
        ...

    async def add_tags(self, location_id: str, contact_id: str, tags: Sequence[str]) -> None: ...

    async def remove_tags(self, location_id: str, contact_id: str, tags: Sequence[str]) -> None: ...

    async def notes(self, location_id: str, contact_id: str) -> Sequence[str]:
        """The bodies of the contact's notes."""
        ...

    async def add_note(self, location_id: str, contact_id: str, body: str) -> None: ...


class PropertySource(Protocol):
    """Sells property records. One call, one sale.

    Raises: Transient, Throttled, ProviderOut; Permanent (rejected_by_provider).
    """

    name: str

    async def lookup(self, address: NormalAddress, *, location_id: str) -> LookupAnswer: ...


class Steps(Protocol):
    """The checkpoints of one job, each write fenced.

    Raises: LostLease, when the job is no longer ours.
    """

    def get(self, name: str) -> StepRecord | None:
        """What is known of a step; `ended_ms` is None where only its intent was written."""
        ...

    async def intend(self, name: str) -> None:
        """Write down that the step's effect is about to happen. Proves the lease."""
        ...

    async def withdraw(self, name: str) -> None:
        """Take an intent back: its effect surely did not happen."""
        ...

    async def record(self, name: str, result: bytes, *, cached: bool = False, credits: int = 0) -> None:
        """Write down what the step gave; a later run of the job skips it."""
        ...


class Sightings(Protocol):
    """Which contacts of a location had an address before."""

    async def seen_elsewhere(self, location_id: str, address_key: str, contact_id: str, within_s: float) -> bool:
        """Remember this contact's address, and tell whether another contact had it within that time."""
        ...


class Purchases(Protocol):
    """Properties already bought, one call in flight for an address, credits spent."""

    async def buy(
        self, address: NormalAddress, *, location_id: str, steps: Steps, step: str
    ) -> tuple[LookupAnswer, bool]:
        """The record for an address and whether it came from the cache (no credit spent).

        Raises: what PropertySource.lookup raises; ProviderOut(kind="budget") when the day's credits are spent.
        """
        ...
